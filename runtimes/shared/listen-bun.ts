/** Listeners over Bun.serve. */
import type { PeerResponse } from "../../src/env/transport.ts";
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

/** Bodies up to here mostly come with their head, and are not worth the MAC that finds out whose they are. */
const UNASKED_BYTES_MAX = 16_384;

/** The listener that other nodes call: POST with a length only, every body is handed to the handler whole. */
export function listenPeer(options: PeerListenOptions): Promise<Listener> {
  let arrivingBytes = 0;
  return serve(options.host, options.port, options.bodyBytesMax, async (request) => {
    if (request.method !== "POST") return new Response(null, { status: 405 });
    const { url, headers } = request;
    const length = headers.get("content-length");
    if (length === null && request.body !== null) return new Response(null, { status: 411 });
    const bodyBytes = Number(length ?? 0);
    const path = url.slice(url.indexOf("/", 8));
    const auth = headers.get("gyre-auth") ?? "";
    if (bodyBytes > UNASKED_BYTES_MAX) {
      const refusal = options.admit({ path, auth, bodyBytes });
      if (refusal !== null) return await answerAfterBody(request, refusal);
    }
    if (arrivingBytes + bodyBytes > options.arrivingBytesMax) {
      return await answerAfterBody(request, { status: 503, auth: "", body: new Uint8Array(0) });
    }
    arrivingBytes += bodyBytes;
    let body: Uint8Array;
    try {
      body = new Uint8Array(await request.arrayBuffer());
    } finally {
      arrivingBytes -= bodyBytes;
    }
    return responseOf(await options.handler({ path, auth, body }));
  });
}

/** Keeps nothing of the body, but lets it come: a connection closed before would take the answer from the caller. */
async function answerAfterBody(request: Request, answer: PeerResponse): Promise<Response> {
  const reader = request.body?.getReader();
  while (reader !== undefined && !(await reader.read()).done);
  return responseOf(answer);
}

function responseOf({ status, auth, body }: PeerResponse): Response {
  const headers = { "gyre-auth": auth };
  return new Response(body as Uint8Array<ArrayBuffer>, { status, headers });
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
