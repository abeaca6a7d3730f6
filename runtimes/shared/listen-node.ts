/** The listener for clients over node:http. */
import { Buffer } from "node:buffer";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import process from "node:process";
import { getRequestListener, RequestError } from "@hono/node-server";
import {
  CLOSE_GRACE_MS,
  type ClientListenOptions,
  type Listener,
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

/** Answers without reading on; the connection cannot be used again. */
function refuse(incoming: IncomingMessage, outgoing: ServerResponse, status: number): void {
  outgoing.writeHead(status, { "content-length": "0", connection: "close" });
  outgoing.end(() => incoming.socket.destroySoon());
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
    if (incoming.headers["content-length"] === undefined) {
      void listener(incoming, outgoing);
      return;
    }
    // When the bytes that came with the head have been parsed, which is after this event.
    process.nextTick(() => {
      takeBody(incoming);
      void listener(incoming, outgoing);
    });
  });
  return listen(server, options.host, options.port);
}

/**
 * A short body mostly comes in one packet with its head. Then it is read here in one piece, under the name by which the
 * adapter takes a body that is there already: the events of a stream cost more than all of Hono.
 */
function takeBody(incoming: IncomingMessage & { rawBody?: Buffer }): void {
  if (!incoming.complete || incoming.destroyed) return;
  incoming.rawBody = (incoming.read() as Buffer | null) ?? Buffer.alloc(0);
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
