/** How requests and answers look on the wire: paths, headers and base64. */

/** The path of a key, in the form that no URL parser on the way changes (api.md, "Keys"). */
export function keyPath(namespace: string, key: string): string {
  return keyTarget(`/v1/kv/${encodeURIComponent(namespace)}`, key);
}

/**
 * `base/key`, or `base?key=` where a path would be changed: dot segments are resolved, backslashes turned around, and
 * empty segments merged by some proxies.
 * @throws TypeError for a key that is not well-formed Unicode.
 */
export function keyTarget(base: string, key: string): string {
  if (!key.isWellFormed())
    throw new TypeError("Cannot use a key with a lone surrogate: it has no UTF-8 form");
  const segments = key.split("/");
  const isFragile = segments.some(
    (segment) => segment === "" || segment === "." || segment === "..",
  );
  if (isFragile || key.includes("\\")) return `${base}?key=${encodeURIComponent(key)}`;
  return `${base}/${segments.map(encodeURIComponent).join("/")}`;
}

/** Adds query options; those that are undefined are left out. */
export function withQuery(
  target: string,
  options: Readonly<Record<string, string | number | boolean | undefined>>,
): string {
  let result = target;
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) continue;
    result += `${result.includes("?") ? "&" : "?"}${name}=${encodeURIComponent(String(value))}`;
  }
  return result;
}

export function encodeMetadata(metadata: unknown): string {
  return encodeURIComponent(JSON.stringify(metadata));
}

/** Undefined when the header is absent. */
export function decodeMetadata(header: string | null): unknown {
  return header === null ? undefined : JSON.parse(decodeURIComponent(header));
}

export function toBytes(value: string | Uint8Array): Uint8Array<ArrayBuffer> {
  return typeof value === "string"
    ? new TextEncoder().encode(value)
    : (value as Uint8Array<ArrayBuffer>);
}

/** String.fromCharCode takes its characters as arguments, whose number is bounded. */
const CHUNK = 8_192;

export function toBase64(bytes: Uint8Array): string {
  let text = "";
  for (let i = 0; i < bytes.length; i += CHUNK)
    text += String.fromCharCode(...bytes.subarray(i, i + CHUNK));
  return btoa(text);
}

/** @throws DOMException when the text is no base64. */
export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return bytes;
}
