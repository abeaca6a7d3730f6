/** Which server to ask: the first that is not known to be out of reach, in the order the caller gave (near ones first). */

/** A server that did not answer is asked last for so long. */
const COOL_DOWN_MS = 5_000;

export interface Endpoints {
  /** All servers, those worth trying first in front. Never empty. */
  order(): readonly string[];
  failed(endpoint: string): void;
  succeeded(endpoint: string): void;
}

/** @throws TypeError unless there is at least one, each an http(s) base address. */
export function createEndpoints(addresses: readonly string[], nowMs: () => number): Endpoints {
  const all = addresses.map(parseEndpoint);
  if (all.length === 0)
    throw new TypeError("Cannot create a client without endpoints, want at least one URL");
  const coolUntilMs = new Map<string, number>();
  return {
    order: () => {
      if (coolUntilMs.size === 0) return all;
      const now = nowMs();
      const isCooling = (endpoint: string): boolean => (coolUntilMs.get(endpoint) ?? 0) > now;
      return [...all.filter((each) => !isCooling(each)), ...all.filter(isCooling)];
    },
    failed: (endpoint) => {
      coolUntilMs.set(endpoint, nowMs() + COOL_DOWN_MS);
    },
    succeeded: (endpoint) => {
      if (coolUntilMs.size > 0) coolUntilMs.delete(endpoint);
    },
  };
}

function parseEndpoint(address: string): string {
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (
    url === undefined ||
    (url.protocol !== "http:" && url.protocol !== "https:") ||
    url.search !== ""
  ) {
    throw new TypeError(
      `Cannot use the endpoint ${JSON.stringify(address)}, want a URL such as http://127.0.0.1:7070`,
    );
  }
  return url.origin + url.pathname.replace(/\/+$/, "");
}
