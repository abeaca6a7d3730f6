/** Where raw paths are cut: what follows is a namespace, or a namespace and a key. */
export const KV_PREFIX = "/v1/kv/";
export const KEYS_PREFIX = "/v1/keys/";
export const BATCH_PREFIX = "/v1/batch/";
export const NAMESPACES_PREFIX = "/v1/namespaces/";
export const EXPLAIN_PREFIX = "/v1/cluster/explain/";
