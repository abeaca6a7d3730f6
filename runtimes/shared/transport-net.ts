/**
 * Peer calls as HTTP/1.1 over node:net, on Node, Bun and Deno alike. Two reasons not to take the runtimes' own clients:
 * Deno's sends a POST again when a kept connection dies without an answer, so that a peer restarting in between could
 * execute it twice; and the clients of all three cost more than the rest of a peer call (measured per call, both ends,
 * with Node / Bun / Deno: node:http 53 / 54 / 62 us, fetch 195 / 40 / 78, this one 33 / 29 / 43).
 */
import { Buffer } from "node:buffer";
import { connect, type Socket } from "node:net";
import {
  type PeerRequest,
  type PeerResponse,
  type Transport,
  TransportError,
} from "../../src/env/transport.ts";
import { takeBytes } from "./send-slab.ts";

export interface NetTransportOptions {
  /** Bytes of one answer. More: the call fails. */
  readonly answerBytesMax: number;
  /** Connections to one peer; each carries one call at a time. More calls wait for one that is free. */
  readonly connectionsMax?: number;
}

export interface NetTransport extends Transport {
  /** Closes all connections; calls under way fail. */
  close(): void;
}

const CONNECTIONS_MAX = 256;
/** Calls waiting for a free connection to one peer. More: they fail unsent. */
const WAITING_MAX = 1_024;
const CONNECT_TIMEOUT_MS = 3_000;
/** Below the time after which a peer's listener closes an idle connection, so that no call meets the closing. */
const IDLE_MS = 30_000;
const SWEEP_MS = 10_000;
const HEAD_BYTES_MAX = 16_384;
/** Up to here head and body are copied into one write; above, the copy costs more than the second write. */
const ONE_WRITE_BYTES_MAX = 16_384;

export function createNetTransport(options: NetTransportOptions): NetTransport {
  const pools = new Map<string, Pool>();
  const sweep = setInterval(() => {
    for (const pool of pools.values()) pool.closeIdle(performance.now() - IDLE_MS);
  }, SWEEP_MS);
  sweep.unref();
  return {
    call: (request) => {
      let pool = pools.get(request.url);
      if (pool === undefined) {
        const address = parseAddress(request.url);
        if (address === undefined) {
          const message = `Cannot call a peer, want http://host:port: ${request.url}`;
          return Promise.reject(new TransportError(message, { sent: false }));
        }
        pool = new Pool(address, options.connectionsMax ?? CONNECTIONS_MAX, options.answerBytesMax);
        pools.set(request.url, pool);
      }
      return pool.call(request);
    },
    close: () => {
      clearInterval(sweep);
      for (const pool of pools.values()) pool.close();
    },
  };
}

interface Address {
  readonly host: string;
  readonly port: number;
  /** The Host header. */
  readonly authority: string;
  /** In front of each path. */
  readonly basePath: string;
}

function parseAddress(text: string): Address | undefined {
  const url = URL.parse(text);
  if (url === null || url.protocol !== "http:" || url.username !== "") return undefined;
  return {
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port === "" ? 80 : Number(url.port),
    authority: url.host,
    basePath: url.pathname.replace(/\/$/, ""),
  };
}

interface Call {
  readonly request: PeerRequest;
  readonly resolve: (answer: PeerResponse) => void;
  readonly reject: (error: TransportError) => void;
  timer: ReturnType<typeof setTimeout>;
  connection: Connection | null;
}

/** The connections to one peer. */
class Pool {
  readonly address: Address;
  readonly answerBytesMax: number;
  readonly #connectionsMax: number;
  readonly #open = new Set<Connection>();
  /** The one used last is taken first, so that surplus ones become idle for good. */
  readonly #idle: Connection[] = [];
  #waiting: Call[] = [];

  constructor(address: Address, connectionsMax: number, answerBytesMax: number) {
    this.address = address;
    this.#connectionsMax = connectionsMax;
    this.answerBytesMax = answerBytesMax;
  }

  call(request: PeerRequest): Promise<PeerResponse> {
    return new Promise((resolve, reject) => {
      const call: Call = {
        request,
        resolve,
        reject,
        timer: setTimeout(() => this.#onTimeout(call), request.timeoutMs),
        connection: null,
      };
      const idle = this.#idle.pop();
      if (idle !== undefined) idle.start(call);
      else if (this.#open.size < this.#connectionsMax) this.#connect(call);
      else if (this.#waiting.length < WAITING_MAX) this.#waiting.push(call);
      else fail(call, "Cannot call peer: too many calls wait for a connection", false);
    });
  }

  release(connection: Connection): void {
    const next = this.#waiting.shift();
    if (next !== undefined) connection.start(next);
    else this.#idle.push(connection);
  }

  forget(connection: Connection): void {
    this.#open.delete(connection);
    const at = this.#idle.indexOf(connection);
    if (at >= 0) this.#idle.splice(at, 1);
    const next = this.#waiting.shift();
    if (next !== undefined) this.#connect(next);
  }

  closeIdle(unusedSinceMs: number): void {
    for (const connection of [...this.#idle]) {
      if (connection.lastUsedMs <= unusedSinceMs) connection.close();
    }
  }

  close(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const call of waiting) fail(call, "Cannot call peer: the transport is closed", false);
    for (const connection of [...this.#open]) connection.close();
  }

  #connect(call: Call): void {
    const connection = new Connection(this);
    this.#open.add(connection);
    connection.start(call);
  }

  #onTimeout(call: Call): void {
    if (call.connection !== null) {
      call.connection.close(`no answer within ${Math.round(call.request.timeoutMs)} ms`);
      return;
    }
    this.#waiting = this.#waiting.filter((other) => other !== call);
    fail(call, "Cannot call peer: its time was over while it waited for a connection", false);
  }
}

function fail(call: Call, message: string, sent: boolean, cause?: unknown): void {
  clearTimeout(call.timer);
  call.reject(new TransportError(message, { sent, cause }));
}

/** What a listener says before the body. Obsolete line folding and interim answers are not ours, so not understood. */
interface AnswerHead {
  readonly status: number;
  readonly auth: string;
  readonly bodyBytes: number;
  /** Without a length the body would end with the connection: only foreign servers do that, and nobody reads it. */
  readonly keepsConnection: boolean;
}

function parseHead(text: string): AnswerHead | undefined {
  const status = /^HTTP\/1\.1 ([2-5]\d\d)(?: |\r\n)/.exec(text)?.[1];
  if (status === undefined || /\r\ntransfer-encoding:/i.test(text)) return undefined;
  const length = /\r\ncontent-length: *(\d{1,10})(?=\r\n)/i.exec(text)?.[1];
  return {
    status: Number(status),
    auth: /\r\ngyre-auth: *([!-~]*)(?=\r\n)/i.exec(text)?.[1] ?? "",
    bodyBytes: length === undefined ? 0 : Number(length),
    keepsConnection: length !== undefined && !/\r\nconnection: *close(?=\r\n)/i.test(text),
  };
}

/** One socket, one call at a time. */
class Connection {
  lastUsedMs = 0;
  readonly #pool: Pool;
  readonly #socket: Socket;
  readonly #connectTimer: ReturnType<typeof setTimeout>;
  #connected = false;
  #closed = false;
  #call: Call | null = null;
  #head: AnswerHead | null = null;
  /** Received and not yet taken: bytes of the head until that is complete, then of the body. */
  #chunks: Buffer[] = [];
  #bytes = 0;

  constructor(pool: Pool) {
    this.#pool = pool;
    const { host, port } = pool.address;
    this.#socket = connect({ host, port, noDelay: true });
    this.#connectTimer = setTimeout(
      () => this.close("connecting took too long"),
      CONNECT_TIMEOUT_MS,
    );
    this.#socket.on("connect", () => {
      this.#connected = true;
      clearTimeout(this.#connectTimer);
    });
    this.#socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    this.#socket.on("error", (error) => this.close(error.message, error));
    this.#socket.on("end", () => this.close("the peer closed the connection"));
    this.#socket.on("close", () => this.close("the connection was closed"));
  }

  start(call: Call): void {
    this.#call = call;
    call.connection = this;
    const { address } = this.#pool;
    const { path, auth, body } = call.request;
    const head = `POST ${address.basePath}${path} HTTP/1.1\r\nhost: ${address.authority}\r\ncontent-length: ${body.length}\r\ngyre-auth: ${auth}\r\n\r\n`;
    if (body.length <= ONE_WRITE_BYTES_MAX) {
      const whole = takeBytes(head.length + body.length);
      whole.write(head, 0, "latin1");
      whole.set(body, head.length);
      this.#socket.write(whole);
      return;
    }
    this.#socket.cork();
    this.#socket.write(head, "latin1");
    this.#socket.write(body);
    this.#socket.uncork();
  }

  /** Destroys the socket; a call under way fails, as unsent only if there never was a connection to send it on. */
  close(reason = "closed", cause?: unknown): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#connectTimer);
    const call = this.#call;
    this.#call = null;
    this.#socket.destroy();
    if (call !== null) fail(call, `Call to peer failed: ${reason}`, this.#connected, cause);
    this.#pool.forget(this);
  }

  #onData(chunk: Buffer): void {
    if (this.#call === null) {
      this.close("the peer sent something unasked");
      return;
    }
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (this.#head === null && !this.#takeHead()) return;
    const head = this.#head;
    if (head === null || this.#bytes < head.bodyBytes) return;
    if (this.#bytes > head.bodyBytes && head.keepsConnection) {
      this.close("the peer sent more than it announced");
      return;
    }
    this.#finish(this.#call, head);
  }

  /** False while the head is incomplete, or when it is refused. */
  #takeHead(): boolean {
    const received = this.#chunks.length === 1 ? this.#chunks[0] : Buffer.concat(this.#chunks);
    if (received === undefined) return false;
    this.#chunks = [received];
    const end = received.indexOf("\r\n\r\n", 0, "latin1");
    if (end < 0) {
      if (received.length > HEAD_BYTES_MAX) this.close("the head of the answer does not end");
      return false;
    }
    const head = parseHead(received.toString("latin1", 0, end + 2));
    if (head === undefined || head.bodyBytes > this.#pool.answerBytesMax) {
      this.close("the answer is not one of a Gyre peer, or too large");
      return false;
    }
    this.#head = head;
    this.#chunks = [received.subarray(end + 4)];
    this.#bytes = received.length - end - 4;
    return true;
  }

  #finish(call: Call, head: AnswerHead): void {
    const whole = this.#chunks.length === 1 ? this.#chunks[0] : Buffer.concat(this.#chunks);
    this.#chunks = [];
    this.#bytes = 0;
    this.#head = null;
    this.#call = null;
    clearTimeout(call.timer);
    this.lastUsedMs = performance.now();
    if (head.keepsConnection) this.#pool.release(this);
    else this.close();
    call.resolve({
      status: head.status,
      auth: head.auth,
      body: plain(whole ?? Buffer.alloc(0), head.bodyBytes),
    });
  }
}

/** Not a Buffer: its `slice` is a view where everyone expects a copy. */
function plain(buffer: Buffer, bytes: number): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, bytes);
}
