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
import { parseHead, type RequestHead } from "./peer-head.ts";
import { takeBytes } from "./send-slab.ts";

/** From the first byte of a request to the end of its head, and to its end. */
const HEAD_MS = 10_000;
const REQUEST_MS = 30_000;
/** Callers close idle connections after 30 s themselves: a server that did so first would meet their next request. */
const IDLE_MS = 65_000;
const SWEEP_MS = 1_000;
const HEAD_BYTES_MAX = 16_384;
/** A caller asks again when it has read the answer: with more than this unread it is none of ours, and never reads. */
const UNREAD_BYTES_MAX = 65_536;
/** Up to here head and body are copied into one write; above, the copy costs more than the second write. */
const ONE_WRITE_BYTES_MAX = 16_384;
const NO_BYTES = Buffer.alloc(0);

export async function listenPeer(options: PeerListenOptions): Promise<Listener> {
  const { host, port } = options;
  const connections = new Connections(options);
  const server = createServer({ noDelay: true }, (socket) => connections.open(socket));
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port }, () => {
      server.off("error", reject);
      // Such as no file left for one more connection: the caller fails, and the process must not end for it.
      server.on("error", () => undefined);
      resolve();
    });
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("Cannot tell the port");
  const sweep = setInterval(() => {
    const nowMs = performance.now();
    for (const connection of connections.all) connection.closeIfOver(nowMs);
  }, SWEEP_MS);
  sweep.unref();
  const close = (graceMs = CLOSE_GRACE_MS): Promise<void> =>
    new Promise((resolve) => {
      const grace = setTimeout(() => {
        for (const connection of connections.all) connection.destroy();
      }, graceMs);
      server.close(() => {
        clearTimeout(grace);
        clearInterval(sweep);
        resolve();
      });
      for (const connection of connections.all) connection.closeWhenIdle();
    });
  return { url: urlOf(host, address.port), close };
}

/** All sockets of the listener, and what they may take together. */
class Connections {
  readonly options: PeerListenOptions;
  readonly all = new Set<Connection>();
  /** Those on which nothing was proven yet, the oldest first: idle ones of strangers must not keep peers out. */
  readonly #strangers = new Set<Connection>();
  /** What the heads of the bodies on their way announce. */
  arrivingBytes = 0;

  constructor(options: PeerListenOptions) {
    this.options = options;
  }

  open(socket: Socket): void {
    if (this.all.size >= this.options.connectionsMax) {
      const [oldest] = this.#strangers;
      if (oldest === undefined) {
        socket.on("error", () => undefined);
        socket.destroy();
        return;
      }
      oldest.destroy();
      this.forget(oldest);
    }
    const connection = new Connection(socket, this);
    this.all.add(connection);
    this.#strangers.add(connection);
  }

  /** The handler says 200 to nobody who does not know the secret. */
  isProven(connection: Connection): void {
    this.#strangers.delete(connection);
  }

  forget(connection: Connection): void {
    this.all.delete(connection);
    this.#strangers.delete(connection);
  }
}

/** One caller's socket. */
class Connection {
  readonly #socket: Socket;
  readonly #listener: Connections;
  /** Received and not yet taken: bytes of the head until that is complete, then of the body. */
  #chunks: Buffer[] = [];
  #bytes = 0;
  #head: RequestHead | null = null;
  /** Told when the body has arrived, of which no byte is kept. */
  #refusal: PeerResponse | null = null;
  /** Announced, and counted in `arrivingBytes`. */
  #arrivingBytes = 0;
  #answering = false;
  #isProven = false;
  /** Nothing more is read: what was answered leaves, and the socket ends. */
  #over = false;
  #closing = false;
  /** When the request under way began, or when the connection became idle. */
  #sinceMs = performance.now();

  constructor(socket: Socket, listener: Connections) {
    this.#socket = socket;
    this.#listener = listener;
    socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    // A caller that goes away is none of our errors; without a listener it would end the process.
    socket.on("error", () => this.destroy());
    socket.on("close", () => {
      this.#arrived();
      listener.forget(this);
    });
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
    else if (this.#bytes > 0 || this.#over) limitMs = HEAD_MS;
    if (nowMs - this.#sinceMs > limitMs) this.destroy();
  }

  #onData(chunk: Buffer): void {
    if (this.#over) return;
    // Callers wait for the answer before they send again: who does not is no Gyre peer.
    if (this.#answering) {
      this.destroy();
      return;
    }
    if (this.#bytes === 0 && this.#head === null) this.#sinceMs = performance.now();
    if (this.#refusal === null) this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (this.#head === null && !this.#takeHead()) return;
    const head = this.#head;
    if (head === null) return;
    if (this.#bytes < head.bodyBytes) this.#expectRest(head);
    else if (this.#bytes > head.bodyBytes) this.#refuse(400);
    else this.#answer(head);
  }

  /** The body is not here yet: whose it is, and whether there is room, is found out first, and once. */
  #expectRest(head: RequestHead): void {
    if (this.#arrivingBytes > 0 || this.#refusal !== null) return;
    const { admit, arrivingBytesMax } = this.#listener.options;
    this.#refusal = admit(head);
    if (this.#refusal !== null) {
      // The refusal waits for the end of the body: a socket closed before would take the answer from the caller.
      this.#chunks = [];
    } else if (this.#listener.arrivingBytes + head.bodyBytes > arrivingBytesMax) {
      this.#refusal = { status: 503, auth: "", body: NO_BYTES };
      this.#chunks = [];
    } else {
      this.#arrivingBytes = head.bodyBytes;
      this.#listener.arrivingBytes += head.bodyBytes;
    }
  }

  #arrived(): void {
    this.#listener.arrivingBytes -= this.#arrivingBytes;
    this.#arrivingBytes = 0;
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
    const head = parseHead(
      received.toString("latin1", 0, end + 2),
      this.#listener.options.bodyBytesMax,
    );
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
    if (this.#socket.writableLength > UNREAD_BYTES_MAX) {
      this.destroy();
      return;
    }
    const whole = this.#whole();
    const refusal = this.#refusal;
    this.#chunks = [];
    this.#bytes = 0;
    this.#head = null;
    this.#refusal = null;
    this.#arrived();
    if (refusal !== null) {
      this.#finish(refusal, keepsConnection);
      return;
    }
    this.#answering = true;
    // A plain Uint8Array: a Buffer's `slice` is a view where everyone expects a copy.
    const body = new Uint8Array(whole.buffer, whole.byteOffset, whole.length);
    // The handler never rejects; if a bug makes it, the process should know.
    void this.#listener.options.handler({ path, auth, body }).then((answer) => {
      this.#answering = false;
      if (answer.status === 200 && !this.#isProven) {
        this.#isProven = true;
        this.#listener.isProven(this);
      }
      this.#finish(answer, keepsConnection);
    });
  }

  #finish(answer: PeerResponse, keepsConnection: boolean): void {
    this.#sinceMs = performance.now();
    const keeps = keepsConnection && !this.#closing;
    this.#send(answer, keeps ? "" : "connection: close\r\n");
    if (keeps) return;
    this.#over = true;
    this.#socket.destroySoon();
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
    this.#chunks = [];
    this.#arrived();
    this.#finish({ status, auth: "", body: NO_BYTES }, false);
  }

  #whole(): Buffer {
    const [first] = this.#chunks;
    if (first === undefined) return NO_BYTES;
    return this.#chunks.length === 1 ? first : Buffer.concat(this.#chunks);
  }
}
