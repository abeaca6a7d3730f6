/** Listeners over node:http: both on Node, and the peers' on Deno, where it is faster than Deno.serve. */
import { Buffer } from "node:buffer";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { getRequestListener, RequestError } from "@hono/node-server";
import type { PeerResponse } from "../../src/env/transport.ts";
import {
  CLOSE_GRACE_MS,
  type ClientListenOptions,
  type Listener,
  type PeerListenOptions,
  problem,
  urlOf,
} from "./listener.ts";

/** Against clients that send slowly or never end (research: Node's own defaults are 60 s and 300 s). */
const LIMITS = {
  headersTimeout: 10_000,
  requestTimeout: 30_000,
  connectionsCheckingInterval: 1_000,
  maxHeaderSize: 16_384,
} as const;
const HEADERS_MAX = 64;
const CONNECTIONS_MAX = 8_192;
/** Peers close idle connections after 30 s themselves: a server that did so first would meet their next request. */
const KEEP_ALIVE_MS = 65_000;
const CLOSE_POLL_MS = 25;

/** The listener that other nodes call: POST only, every body is handed to the handler whole. */
export function listenPeer(options: PeerListenOptions): Promise<Listener> {
  const server = createServer(LIMITS, (incoming, outgoing) => {
    receivePeer(options, incoming, outgoing);
  });
  return listen(server, options.host, options.port);
}

function receivePeer(
  options: PeerListenOptions,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): void {
  outgoing.sendDate = false;
  if (incoming.method !== "POST") {
    refuse(incoming, outgoing, 405);
    return;
  }
  const { headers } = incoming;
  if (Number(headers["content-length"] ?? 0) > options.bodyBytesMax) {
    refuse(incoming, outgoing, 413);
    return;
  }
  const chunks: Buffer[] = [];
  let bytes = 0;
  incoming.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes <= options.bodyBytesMax) chunks.push(chunk);
    else if (!outgoing.headersSent) refuse(incoming, outgoing, 413);
  });
  // A caller that goes away is none of our errors; without a listener it would end the process.
  incoming.on("error", () => undefined);
  incoming.on("end", () => {
    if (outgoing.headersSent) return;
    const auth = headers["gyre-auth"];
    const request = {
      path: incoming.url ?? "",
      auth: typeof auth === "string" ? auth : "",
      body: joined(chunks),
    };
    // The handler never rejects; if a bug makes it, the process should know.
    void options.handler(request).then((answer) => respond(outgoing, answer));
  });
}

function respond(outgoing: ServerResponse, answer: PeerResponse): void {
  outgoing.writeHead(answer.status, [
    "content-length",
    String(answer.body.length),
    "gyre-auth",
    answer.auth,
  ]);
  outgoing.end(answer.body);
}

/** Answers without reading on; the connection cannot be used again. */
function refuse(incoming: IncomingMessage, outgoing: ServerResponse, status: number): void {
  outgoing.writeHead(status, { "content-length": "0", connection: "close" });
  outgoing.end(() => incoming.socket.destroySoon());
}

/** A plain Uint8Array: a Buffer's `slice` is a view where everyone expects a copy. */
function joined(chunks: readonly Buffer[]): Uint8Array {
  const whole = chunks.length === 1 ? chunks[0] : Buffer.concat(chunks);
  if (whole === undefined) return new Uint8Array(0);
  return new Uint8Array(whole.buffer, whole.byteOffset, whole.length);
}

/** The listener for clients: a fetch handler behind @hono/node-server. */
export function listenClient(options: ClientListenOptions): Promise<Listener> {
  const listener = getRequestListener(
    (request, env) => {
      const { incoming } = env as { readonly incoming: IncomingMessage };
      return options.fetch(request, {
        rawTarget: incoming.url ?? "",
        wireHeaders: incoming.headers,
      });
    },
    { errorHandler: answerError },
  );
  const server = createServer(LIMITS, (incoming, outgoing) => {
    if (isAmbiguous(incoming)) {
      refuse(incoming, outgoing, 400);
      return;
    }
    void listener(incoming, outgoing);
  });
  return listen(server, options.host, options.port);
}

function answerError(error: unknown): Response {
  return error instanceof RequestError
    ? problem(400, "bad_request", `Cannot read the request target: ${error.message}`)
    : problem(500, "internal", "The request failed; the log says why");
}

/** Two Host headers, or a target that is a whole URL: node:http takes both, and a proxy may read them otherwise. */
function isAmbiguous(incoming: IncomingMessage): boolean {
  if (incoming.url?.startsWith("/") !== true && incoming.url !== "*") return true;
  let hosts = 0;
  const { rawHeaders } = incoming;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at];
    if (name?.length === 4 && name.toLowerCase() === "host") hosts++;
  }
  return hosts > 1;
}

async function listen(server: Server, host: string, port: number): Promise<Listener> {
  server.maxHeadersCount = HEADERS_MAX;
  server.maxConnections = CONNECTIONS_MAX;
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port }, () => {
      server.off("error", reject);
      resolve();
    });
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("Cannot tell the port");
  return { url: urlOf(host, address.port), close: (graceMs) => close(server, graceMs) };
}

function close(server: Server, graceMs = CLOSE_GRACE_MS): Promise<void> {
  return new Promise((resolve) => {
    // Connections that become idle from now on are not closed by `close` itself.
    const idle = setInterval(() => server.closeIdleConnections(), CLOSE_POLL_MS);
    const grace = setTimeout(() => server.closeAllConnections(), graceMs);
    server.close(() => {
      clearInterval(idle);
      clearTimeout(grace);
      resolve();
    });
    server.closeIdleConnections();
  });
}
