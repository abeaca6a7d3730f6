/**
 * The listener that other nodes call, over node:net, on Node and Deno. Its callers are transport-net.ts and nobody else, so
 * it understands no more HTTP than that writes: POST with a content-length, one request at a time on a connection. For each
 * request node:http makes two streams and a parser's headers, and it sends the answer as two pieces, which costs the kernel
 * more than twice as much as one.
 */
import { Buffer } from "node:buffer";
import { createServer, type Socket } from "node:net";
import type { PeerResponse } from "../../src/env/transport.ts";
import { CLOSE_GRACE_MS, type Listener, type PeerListenOptions, urlOf } from "./listener.ts";
import { takeBytes } from "./send-slab.ts";

/** From the first byte of a request to the end of its head, and to its end. */
const HEAD_MS = 10_000;
const REQUEST_MS = 30_000;
/** Callers close idle connections after 30 s themselves: a server that did so first would meet their next request. */
const IDLE_MS = 65_000;
const SWEEP_MS = 1_000;
const HEAD_BYTES_MAX = 16_384;
const CONNECTIONS_MAX = 8_192;
/** Up to here head and body are copied into one write; above, the copy costs more than the second write. */
const ONE_WRITE_BYTES_MAX = 16_384;
const NO_BYTES = Buffer.alloc(0);

export async function listenPeer(options: PeerListenOptions): Promise<Listener> {
  const { host, port } = options;
  const connections = new Set<Connection>();
  const server = createServer({ noDelay: true }, (socket) => {
    const connection = new Connection(socket, options, () => connections.delete(connection));
    connections.add(connection);
  });
  server.maxConnections = CONNECTIONS_MAX;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port }, () => {
      server.off("error", reject);
      resolve();
    });
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("Cannot tell the port");
  const sweep = setInterval(() => {
    const nowMs = performance.now();
    for (const connection of connections) connection.closeIfOver(nowMs);
  }, SWEEP_MS);
  sweep.unref();
  const close = (graceMs = CLOSE_GRACE_MS): Promise<void> =>
    new Promise((resolve) => {
      const grace = setTimeout(() => {
        for (const connection of connections) connection.destroy();
      }, graceMs);
      server.close(() => {
        clearTimeout(grace);
        clearInterval(sweep);
        resolve();
      });
      for (const connection of connections) connection.closeWhenIdle();
    });
  return { url: urlOf(host, address.port), close };
}

interface RequestHead {
  readonly path: string;
  readonly auth: string;
  readonly bodyBytes: number;
  readonly keepsConnection: boolean;
}

/** The head of a request, which ends with CRLF, or the status that refuses it. */
function parseHead(text: string, bodyBytesMax: number): RequestHead | number {
  const line = /^([A-Z]+) (\/[!-~]*) HTTP\/1\.1\r\n/.exec(text);
  if (line === null) return 400;
  if (line[1] !== "POST") return 405;
  if (/\r\ntransfer-encoding:/i.test(text)) return 411;
  const lengths = text.match(/\r\ncontent-length:[^\r]*/gi) ?? [];
  if (lengths.length > 1) return 400;
  const length = lengths[0] === undefined ? "0" : /: *(\d{1,15}) *$/.exec(lengths[0])?.[1];
  if (length === undefined) return 400;
  if (Number(length) > bodyBytesMax) return 413;
  return {
    path: line[2] ?? "",
    auth: /\r\ngyre-auth: *([!-~]*) *(?=\r\n)/i.exec(text)?.[1] ?? "",
    bodyBytes: Number(length),
    keepsConnection: !/\r\nconnection: *close *(?=\r\n)/i.test(text),
  };
}

/** One caller's socket. */
class Connection {
  readonly #socket: Socket;
  readonly #options: PeerListenOptions;
  /** Received and not yet taken: bytes of the head until that is complete, then of the body. */
  #chunks: Buffer[] = [];
  #bytes = 0;
  #head: RequestHead | null = null;
  #answering = false;
  #closing = false;
  /** When the request under way began, or when the connection became idle. */
  #sinceMs = performance.now();

  constructor(socket: Socket, options: PeerListenOptions, onClose: () => void) {
    this.#socket = socket;
    this.#options = options;
    socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    // A caller that goes away is none of our errors; without a listener it would end the process.
    socket.on("error", () => this.destroy());
    socket.on("close", onClose);
  }

  destroy(): void {
    this.#closing = true;
    this.#socket.destroy();
  }

  closeWhenIdle(): void {
    this.#closing = true;
    if (!this.#answering && this.#bytes === 0 && this.#head === null) this.destroy();
  }

  /** How long a handler takes is its own business: it knows the sender's deadline. */
  closeIfOver(nowMs: number): void {
    if (this.#answering) return;
    let limitMs = IDLE_MS;
    if (this.#head !== null) limitMs = REQUEST_MS;
    else if (this.#bytes > 0) limitMs = HEAD_MS;
    if (nowMs - this.#sinceMs > limitMs) this.destroy();
  }

  #onData(chunk: Buffer): void {
    // Callers wait for the answer before they send again: who does not is no Gyre peer.
    if (this.#answering) {
      this.destroy();
      return;
    }
    if (this.#bytes === 0 && this.#head === null) this.#sinceMs = performance.now();
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (this.#head === null && !this.#takeHead()) return;
    const head = this.#head;
    if (head === null || this.#bytes < head.bodyBytes) return;
    if (this.#bytes > head.bodyBytes) this.#refuse(400);
    else this.#answer(head);
  }

  /** False while the head is incomplete, or when it is refused. */
  #takeHead(): boolean {
    const received = this.#whole();
    this.#chunks = [received];
    const end = received.indexOf("\r\n\r\n", 0, "latin1");
    if (end < 0 || end > HEAD_BYTES_MAX) {
      if (received.length > HEAD_BYTES_MAX) this.#refuse(431);
      return false;
    }
    const head = parseHead(received.toString("latin1", 0, end + 2), this.#options.bodyBytesMax);
    if (typeof head === "number") {
      this.#refuse(head);
      return false;
    }
    this.#head = head;
    this.#chunks = [received.subarray(end + 4)];
    this.#bytes = received.length - end - 4;
    return true;
  }

  #answer({ path, auth, keepsConnection }: RequestHead): void {
    const whole = this.#whole();
    this.#chunks = [];
    this.#bytes = 0;
    this.#head = null;
    this.#answering = true;
    // A plain Uint8Array: a Buffer's `slice` is a view where everyone expects a copy.
    const body = new Uint8Array(whole.buffer, whole.byteOffset, whole.length);
    // The handler never rejects; if a bug makes it, the process should know.
    void this.#options.handler({ path, auth, body }).then((answer) => {
      this.#answering = false;
      this.#sinceMs = performance.now();
      const keeps = keepsConnection && !this.#closing;
      this.#send(answer, keeps ? "" : "connection: close\r\n");
      if (!keeps) this.#socket.destroySoon();
    });
  }

  #send({ status, auth, body }: PeerResponse, extra: string): void {
    if (this.#socket.destroyed) return;
    const head = `HTTP/1.1 ${status} \r\ncontent-length: ${body.length}\r\ngyre-auth: ${auth}\r\n${extra}\r\n`;
    if (body.length <= ONE_WRITE_BYTES_MAX) {
      const answer = takeBytes(head.length + body.length);
      answer.write(head, 0, "latin1");
      answer.set(body, head.length);
      this.#socket.write(answer);
      return;
    }
    this.#socket.cork();
    this.#socket.write(head, "latin1");
    this.#socket.write(body);
    this.#socket.uncork();
  }

  /** Answers without reading on; the connection cannot be used again. */
  #refuse(status: number): void {
    this.#socket.removeAllListeners("data");
    this.#chunks = [];
    this.#answering = true;
    this.#send({ status, auth: "", body: NO_BYTES }, "connection: close\r\n");
    this.#socket.destroySoon();
  }

  #whole(): Buffer {
    const [first] = this.#chunks;
    if (first === undefined) return NO_BYTES;
    return this.#chunks.length === 1 ? first : Buffer.concat(this.#chunks);
  }
}
