/** A client of the native HTTP API: fetch only, no dependencies, for every runtime and for browsers. */
import {
  type ClientWorld,
  createRequester,
  errorOf,
  type HttpAnswer,
  type HttpRequest,
  type Requester,
} from "./request.ts";
import { SessionRequester } from "./session.ts";
import type {
  BatchOperation,
  BatchOptions,
  BatchResult,
  GetResult,
  GyreValue,
  ListedKey,
  ListOptions,
  ListPage,
  PutOptions,
  ReadOptions,
  WriteOptions,
  WriteResult,
} from "./types.ts";
import { decodeMetadata, encodeMetadata, fromBase64, keyPath, toBytes, withQuery } from "./wire.ts";

export interface ClientOptions {
  /** Base addresses, the nearest first: the next is asked when one cannot be reached. */
  readonly endpoints: string | readonly string[];
  /** `default` unless given. */
  readonly namespace?: string;
  /** For a whole call with its retries, in ms. Somewhat above the server's own 5 s, whose answer says more. */
  readonly timeoutMs?: number;
  /** Tries beyond the first, where repeating is safe; at most a tenth of all requests. */
  readonly retries?: number;
  /** Sent with each request. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly world?: Partial<ClientWorld>;
}

export interface GyreClient {
  /** Rejects with GyreError or GyreConnectionError, as all methods do. */
  get(key: string, options?: ReadOptions): Promise<GetResult>;
  put(key: string, value: string | Uint8Array, options?: PutOptions): Promise<WriteResult>;
  delete(key: string, options?: WriteOptions): Promise<WriteResult>;
  /** All keys of the range, fetched page by page. */
  list(options?: ListOptions): AsyncGenerator<ListedKey, void, void>;
  listPage(options?: ListOptions): Promise<ListPage>;
  /** Up to 1000 operations on different keys; each succeeds or fails by itself. Never repeated if it holds writes. */
  batch(
    operations: readonly BatchOperation[],
    options?: BatchOptions,
  ): Promise<readonly BatchResult[]>;
  /**
   * Reads all live values, hands them to `change`, and puts what it returns as the successor of all of them: how
   * siblings are resolved. Null deletes, undefined leaves the key alone. Not a lock: a write that comes at the same
   * time elsewhere is kept beside this one, as a sibling.
   */
  update(
    key: string,
    change: (values: readonly GyreValue[]) => string | Uint8Array | null | undefined,
    options?: PutOptions,
  ): Promise<WriteResult | undefined>;
  /** For calls that have no method of their own. */
  send(request: HttpRequest): Promise<HttpAnswer>;
  /**
   * A client that reads its own writes and never sees a key go back, at whatever server and consistency. Its calls run one
   * after the other. Begins where the session of that token stands, or anew.
   */
  session(token?: string): GyreSession;
}

export interface GyreSession extends GyreClient {
  /** Where the session stands: hand it on to go on with it elsewhere. Null before the first answer. */
  readonly token: string | null;
}

const DEFAULT_TIMEOUT_MS = 10_000;
const DEFAULT_RETRIES = 3;
const UTF8 = new TextDecoder();

/** @throws TypeError when an endpoint is no URL. */
export function createClient(options: ClientOptions): GyreClient {
  const requester = createRequester({
    endpoints: typeof options.endpoints === "string" ? [options.endpoints] : options.endpoints,
    timeoutMs: options.timeoutMs ?? DEFAULT_TIMEOUT_MS,
    retries: options.retries ?? DEFAULT_RETRIES,
    headers: options.headers ?? {},
    world: { ...systemWorld(), ...options.world },
  });
  return new Client(requester, options.namespace ?? "default");
}

function systemWorld(): ClientWorld {
  return {
    fetch: (url, init) => fetch(url, init),
    nowMs: () => performance.now(),
    sleep: (delayMs) => new Promise((resolve) => setTimeout(resolve, delayMs)),
    chance: () => (crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) / 2 ** 32,
  };
}

class Client implements GyreClient {
  readonly #requester: Requester;
  readonly #namespace: string;

  constructor(requester: Requester, namespace: string) {
    this.#requester = requester;
    this.#namespace = namespace;
  }

  send(request: HttpRequest): Promise<HttpAnswer> {
    return this.#requester.send(request);
  }

  session(token?: string): GyreSession {
    return new Session(this.#requester, this.#namespace, token ?? null);
  }

  async get(key: string, options: ReadOptions = {}): Promise<GetResult> {
    const { consistency, r, sloppy, conflict } = options;
    const path = keyPath(options.namespace ?? this.#namespace, key);
    const answer = await this.send({
      ...options,
      method: "GET",
      target: withQuery(path, { consistency, r, sloppy, conflict }),
      // Asked for as JSON only by saying so last: a single value comes as its own bytes in any case.
      headers: { accept: "application/json, */*;q=0.5" },
      repeatable: true,
      accept: [200, 300, 404],
    });
    return readGetAnswer(answer);
  }

  async put(
    key: string,
    value: string | Uint8Array,
    options: PutOptions = {},
  ): Promise<WriteResult> {
    const headers = writeHeaders(options);
    if (options.contentType !== undefined) headers["content-type"] = options.contentType;
    if (options.metadata !== undefined) headers["gyre-metadata"] = encodeMetadata(options.metadata);
    return await this.#write("PUT", key, options, headers, toBytes(value));
  }

  async delete(key: string, options: WriteOptions = {}): Promise<WriteResult> {
    return await this.#write("DELETE", key, options, writeHeaders(options), undefined);
  }

  async #write(
    method: "PUT" | "DELETE",
    key: string,
    options: PutOptions,
    headers: Record<string, string>,
    body: Uint8Array<ArrayBuffer> | undefined,
  ): Promise<WriteResult> {
    const { consistency, w, sloppy, ttl, expires } = options;
    const path = keyPath(options.namespace ?? this.#namespace, key);
    const answer = await this.send({
      method,
      target: withQuery(path, { consistency, w, sloppy, ttl, expires }),
      headers,
      repeatable: options.idempotencyKey !== undefined,
      accept: [204],
      timeoutMs: options.timeoutMs,
      signal: options.signal,
      ...(body === undefined ? {} : { body }),
    });
    return {
      context: answer.headers.get("gyre-context"),
      etag: answer.headers.get("etag"),
      siblings: Number(answer.headers.get("gyre-siblings") ?? 1),
    };
  }

  async listPage(options: ListOptions = {}): Promise<ListPage> {
    const { prefix, start, end, reverse, limit, cursor, conflict } = options;
    const base = `/v1/keys/${encodeURIComponent(options.namespace ?? this.#namespace)}`;
    const answer = await this.send({
      ...options,
      method: "GET",
      target: withQuery(base, { prefix, start, end, reverse, limit, cursor, conflict }),
      repeatable: true,
      accept: [200],
    });
    return readJson(answer) as ListPage;
  }

  async *list(options: ListOptions = {}): AsyncGenerator<ListedKey, void, void> {
    let { cursor } = options;
    for (;;) {
      const page = await this.listPage({ ...options, cursor });
      yield* page.keys;
      if (page.complete || page.cursor === undefined) return;
      cursor = page.cursor;
    }
  }

  async batch(
    operations: readonly BatchOperation[],
    options: BatchOptions = {},
  ): Promise<readonly BatchResult[]> {
    const { consistency, conflict, sloppy } = options;
    const base = `/v1/batch/${encodeURIComponent(options.namespace ?? this.#namespace)}`;
    const answer = await this.send({
      method: "POST",
      target: withQuery(base, { consistency, conflict, sloppy }),
      headers: { "content-type": "application/json", accept: "application/json" },
      body: JSON.stringify({ ops: operations }),
      repeatable: operations.every((operation) => operation.op === "get"),
      accept: [200],
      timeoutMs: options.timeoutMs,
      signal: options.signal,
    });
    return (readJson(answer) as { readonly results: readonly BatchResult[] }).results;
  }

  async update(
    key: string,
    change: (values: readonly GyreValue[]) => string | Uint8Array | null | undefined,
    options: PutOptions = {},
  ): Promise<WriteResult | undefined> {
    const { namespace, timeoutMs, signal, consistency } = options;
    const current = await this.get(key, {
      namespace,
      timeoutMs,
      signal,
      consistency,
      conflict: "siblings",
    });
    const next = change(liveValues(current));
    if (next === undefined) return undefined;
    const context = current.context ?? undefined;
    if (next === null) {
      const { w, sloppy, idempotencyKey } = options;
      return await this.delete(key, {
        namespace,
        timeoutMs,
        signal,
        consistency,
        w,
        sloppy,
        idempotencyKey,
        context,
      });
    }
    return await this.put(key, next, { ...options, context });
  }
}

class Session extends Client implements GyreSession {
  readonly #sender: SessionRequester;

  constructor(requester: Requester, namespace: string, token: string | null) {
    const plain = requester instanceof SessionRequester ? requester.plain : requester;
    const sender = new SessionRequester(plain, token);
    super(sender, namespace);
    this.#sender = sender;
  }

  get token(): string | null {
    return this.#sender.token;
  }
}

function writeHeaders(options: WriteOptions): Record<string, string> {
  const headers: Record<string, string> = {};
  if (options.context !== undefined) headers["gyre-context"] = options.context;
  if (options.ifMatch !== undefined) headers["if-match"] = options.ifMatch;
  if (options.ifNoneMatch !== undefined) headers["if-none-match"] = options.ifNoneMatch;
  if (options.idempotencyKey !== undefined) headers["idempotency-key"] = options.idempotencyKey;
  return headers;
}

function readGetAnswer(answer: HttpAnswer): GetResult {
  const { headers } = answer;
  const context = headers.get("gyre-context");
  if (answer.status === 404) {
    // The key is missing, or the namespace that would hold it: the latter is an error.
    const error = errorOf(answer);
    if (error.code !== "not_found") throw error;
    return { status: "missing", context };
  }
  if (answer.status === 300) {
    const { siblings } = readJson(answer) as { readonly siblings: readonly WireSibling[] };
    return { status: "siblings", context, values: siblings.map(readSibling) };
  }
  const expires = headers.get("gyre-expires");
  return {
    status: "found",
    etag: headers.get("etag") ?? "",
    context,
    siblings: Number(headers.get("gyre-siblings") ?? 1),
    value: {
      bytes: answer.body,
      contentType: headers.get("content-type") ?? "application/octet-stream",
      metadata: decodeMetadata(headers.get("gyre-metadata")),
      expires: expires === null ? null : Number(expires),
    },
  };
}

interface WireSibling {
  readonly value: string;
  readonly contentType: string;
  readonly metadata?: unknown;
  readonly expires?: number | null;
}

function readSibling(sibling: WireSibling): GyreValue {
  return {
    bytes: fromBase64(sibling.value),
    contentType: sibling.contentType,
    metadata: sibling.metadata ?? undefined,
    expires: sibling.expires ?? null,
  };
}

function liveValues(result: GetResult): readonly GyreValue[] {
  switch (result.status) {
    case "found":
      return [result.value];
    case "missing":
      return [];
    case "siblings":
      return result.values;
  }
}

function readJson(answer: HttpAnswer): unknown {
  return JSON.parse(UTF8.decode(answer.body));
}
