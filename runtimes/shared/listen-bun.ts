/** Listeners over Bun.serve. */
import {
  CLOSE_GRACE_MS,
  type ClientListenOptions,
  LIMIT_ROOM_BYTES,
  type Listener,
  type PeerListenOptions,
  problem,
  urlOf,
} from "./listener.ts";
import { createResponder } from "./respond-bun.ts";

/** What is used of Bun, written down so that this file compiles without Bun's types. */
interface BunServer {
  readonly port: number;
  stop(closeActiveConnections?: boolean): Promise<void>;
}
interface BunApi {
  serve(options: {
    readonly hostname: string;
    readonly port: number;
    readonly development: false;
    readonly idleTimeout: number;
    readonly maxRequestBodySize: number;
    readonly fetch: (request: Request) => Promise<Response> | Response;
    readonly error: (error: unknown) => Response;
  }): BunServer;
}

/** Seconds without a byte after which Bun closes a connection, also in the middle of a slow answer; 255 at most. */
const IDLE_SECONDS = 120;

/** The listener that other nodes call: POST only, every body is handed to the handler whole. */
export function listenPeer(options: PeerListenOptions): Promise<Listener> {
  return serve(options.host, options.port, options.bodyBytesMax, async (request) => {
    if (request.method !== "POST") return new Response(null, { status: 405 });
    const body = new Uint8Array(await request.arrayBuffer());
    const auth = request.headers.get("gyre-auth") ?? "";
    const { url } = request;
    const answer = await options.handler({ path: url.slice(url.indexOf("/", 8)), auth, body });
    return new Response(answer.body as Uint8Array<ArrayBuffer>, {
      status: answer.status,
      headers: { "gyre-auth": answer.auth },
    });
  });
}

/** The listener for clients. Bun does not show the raw request target. */
export function listenClient(options: ClientListenOptions): Promise<Listener> {
  const bytesMax = options.bodyBytesMax + LIMIT_ROOM_BYTES;
  const info = { respond: createResponder() };
  return serve(options.host, options.port, bytesMax, (request) => options.fetch(request, info));
}

function serve(
  host: string,
  port: number,
  bodyBytesMax: number,
  fetch: (request: Request) => Promise<Response> | Response,
): Promise<Listener> {
  const { Bun } = globalThis as unknown as { readonly Bun: BunApi };
  const server = Bun.serve({
    hostname: host,
    port,
    development: false,
    idleTimeout: IDLE_SECONDS,
    maxRequestBodySize: bodyBytesMax,
    fetch,
    error: () => problem(500, "internal", "The request failed; the log says why"),
  });
  return Promise.resolve({
    url: urlOf(host, server.port),
    close: (graceMs) => close(server, graceMs),
  });
}

async function close(server: BunServer, graceMs = CLOSE_GRACE_MS): Promise<void> {
  const grace = setTimeout(() => void server.stop(true), graceMs);
  await server.stop(false);
  clearTimeout(grace);
}
