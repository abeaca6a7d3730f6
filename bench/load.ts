/**
 * A closed-loop HTTP/1.1 load generator on bare sockets: each connection sends its next request when the answer to the
 * last one is complete. Kept this small so that on a two-core machine the client is not what is measured; the same client
 * measures every server.
 */
import { connect, type Socket } from "node:net";

export interface LoadOptions {
  /** Connections are dealt round robin over the ports. */
  readonly ports: readonly number[];
  readonly connections: number;
  readonly seconds: number;
  readonly warmupSeconds: number;
  readonly method: "GET" | "PUT";
  /** `{n}` in the path becomes a random number 0 .. keys-1. */
  readonly path: string;
  readonly keys: number;
  readonly bodyBytes: number;
}

export interface LoadResult {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** All answers, those of the warm-up too. */
  readonly answered: number;
  /** Answers that were neither 200 nor 204. */
  readonly failures: number;
}

class Connection {
  readonly #options: LoadOptions;
  readonly #port: number;
  readonly #done: (ms: number, ok: boolean) => void;
  #socket: Socket | null = null;
  #sentMs = 0;
  #pending: Buffer | null = null;
  #stopped = false;

  constructor(options: LoadOptions, port: number, done: (ms: number, ok: boolean) => void) {
    this.#options = options;
    this.#port = port;
    this.#done = done;
  }

  async start(): Promise<void> {
    const socket = connect({ host: "127.0.0.1", port: this.#port, noDelay: true });
    this.#socket = socket;
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
    socket.on("error", () => this.#done(0, false));
    this.#send();
  }

  stop(): void {
    this.#stopped = true;
    this.#socket?.destroy();
  }

  #send(): void {
    const { method, keys, bodyBytes } = this.#options;
    const path = this.#options.path.replace("{n}", String(Math.floor(Math.random() * keys)));
    let request = `${method} ${path} HTTP/1.1\r\nHost: 127.0.0.1:${this.#port}\r\n`;
    if (method === "PUT") request += `Content-Length: ${bodyBytes}\r\n\r\n${body(bodyBytes)}`;
    else request += "\r\n";
    this.#sentMs = performance.now();
    this.#socket?.write(request, "latin1");
  }

  #read(chunk: Buffer): void {
    const data = this.#pending === null ? chunk : Buffer.concat([this.#pending, chunk]);
    const headEnd = data.indexOf("\r\n\r\n");
    if (headEnd < 0) {
      this.#pending = data;
      return;
    }
    const head = data.toString("latin1", 0, headEnd);
    const length = /\r\ncontent-length: (\d+)/i.exec(head)?.[1];
    if (data.length < headEnd + 4 + Number(length ?? 0)) {
      this.#pending = data;
      return;
    }
    this.#pending = null;
    const ok = head.startsWith("200", 9) || head.startsWith("204", 9);
    this.#done(performance.now() - this.#sentMs, ok);
    if (!this.#stopped) this.#send();
  }
}

const bodies = new Map<number, string>();

function body(bytes: number): string {
  let text = bodies.get(bytes);
  if (text === undefined) {
    text = "x".repeat(bytes);
    bodies.set(bytes, text);
  }
  return text;
}

/** Runs one load to its end. */
export async function runLoad(options: LoadOptions): Promise<LoadResult> {
  let measuring = false;
  let failures = 0;
  let answered = 0;
  const times: number[] = [];
  const connections = Array.from({ length: options.connections }, (_, i) => {
    const port = options.ports[i % options.ports.length] ?? 0;
    return new Connection(options, port, (ms, ok) => {
      answered++;
      if (!measuring) return;
      if (ok) times.push(ms);
      else failures++;
    });
  });
  await Promise.all(connections.map((connection) => connection.start()));
  await pause(options.warmupSeconds * 1000);
  measuring = true;
  const startedMs = performance.now();
  await pause(options.seconds * 1000);
  measuring = false;
  const seconds = (performance.now() - startedMs) / 1000;
  for (const connection of connections) connection.stop();
  times.sort((a, b) => a - b);
  return {
    perSecond: Math.round(times.length / seconds),
    p50Ms: round(times[Math.floor(times.length * 0.5)] ?? 0),
    p99Ms: round(times[Math.floor(times.length * 0.99)] ?? 0),
    answered,
    failures,
  };
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

function round(ms: number): number {
  return Math.round(ms * 100) / 100;
}

// As a process of its own: options as JSON in the first argument, the result as JSON on stdout.
const asked = process.argv[2];
if (import.meta.main && asked !== undefined) {
  process.stdout.write(`${JSON.stringify(await runLoad(JSON.parse(asked)))}\n`);
  process.exit(0);
}
