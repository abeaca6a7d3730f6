/**
 * The clients' listener on Deno. Its peers' listener is the one of listen-node.ts: with one call at a time on each
 * connection node:http takes a third less CPU than Deno.serve (measured 43 to 60 us per call, both ends).
 */
import {
  CLOSE_GRACE_MS,
  type ClientListenOptions,
  type Listener,
  problem,
  urlOf,
} from "./listener.ts";

/** What is used of Deno, written down so that this file compiles without Deno's types. */
interface DenoServer {
  readonly addr: { readonly port: number };
  readonly finished: Promise<void>;
  shutdown(): Promise<void>;
}
interface DenoApi {
  serve(
    options: {
      readonly hostname: string;
      readonly port: number;
      readonly signal: AbortSignal;
      readonly onListen: () => void;
      readonly onError: (error: unknown) => Response;
    },
    handler: (request: Request) => Promise<Response> | Response,
  ): DenoServer;
}

/** The listener for clients. Deno keeps the request target in the URL and shows nothing rawer. */
export function listenClient(options: ClientListenOptions): Promise<Listener> {
  const { Deno } = globalThis as unknown as { readonly Deno: DenoApi };
  const abort = new AbortController();
  const server = Deno.serve(
    {
      hostname: options.host,
      port: options.port,
      signal: abort.signal,
      onListen: () => undefined,
      onError: () => problem(500, "internal", "The request failed; the log says why"),
    },
    (request) => options.fetch(request, {}),
  );
  return Promise.resolve({
    url: urlOf(options.host, server.addr.port),
    close: (graceMs) => close(server, abort, graceMs),
  });
}

async function close(
  server: DenoServer,
  abort: AbortController,
  graceMs = CLOSE_GRACE_MS,
): Promise<void> {
  const grace = setTimeout(() => abort.abort(), graceMs);
  await Promise.race([server.shutdown(), server.finished]);
  clearTimeout(grace);
}
