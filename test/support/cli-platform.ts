/** A command line's world in memory: files are a map, time stands still but for sleeps, servers are functions. */
import { createHash } from "node:crypto";
import { runCli } from "../../src/cli/main.ts";
import type { CliFiles, Platform, Sha256 } from "../../src/cli/platform.ts";
import type { HttpWorld } from "./http-world.ts";

export type FakeServer = (request: {
  readonly url: string;
  readonly method: string;
  readonly target: string;
  readonly headers: Headers;
  readonly body: Uint8Array | undefined;
}) => Promise<Response>;

export interface FakePlatform extends Platform {
  readonly stored: Map<string, Uint8Array>;
  readonly environment: Record<string, string | undefined>;
  /** By origin, such as `http://127.0.0.1:7070`; others refuse the connection. */
  readonly servers: Map<string, FakeServer>;
  /** All that was written. */
  out(): Uint8Array;
  outText(): string;
  errText(): string;
  stdinBytes: Uint8Array;
  stdinIsTerminal: boolean;
  confirms: boolean;
  /** What onStopSignal was given. */
  readonly stopListeners: Set<(signal: string) => void>;
  /** Runs one command line on it. */
  run(...argv: string[]): Promise<number>;
}

/** What Node's fetch throws when nobody listens. */
export function connectionRefused(url: string): TypeError {
  return new TypeError("fetch failed", {
    cause: Object.assign(new Error(`connect ECONNREFUSED ${new URL(url).host}`), {
      code: "ECONNREFUSED",
    }),
  });
}

export function createFakePlatform(): FakePlatform {
  let nowMs = 0;
  const out: Uint8Array[] = [];
  const err: Uint8Array[] = [];
  const stored = new Map<string, Uint8Array>();
  const servers = new Map<string, FakeServer>();
  const stopListeners = new Set<(signal: string) => void>();
  const output = (chunks: Uint8Array[]) => ({
    isTerminal: false,
    write: (data: string | Uint8Array) => {
      chunks.push(typeof data === "string" ? new TextEncoder().encode(data) : data.slice());
      return Promise.resolve();
    },
  });
  const platform: FakePlatform = {
    runtime: "node",
    version: "0.1.0",
    command: "gyre",
    environment: {},
    stdout: output(out),
    stderr: output(err),
    stdin: {
      get isTerminal() {
        return platform.stdinIsTerminal;
      },
      stream: () => streamOf(platform.stdinBytes, 7),
    },
    files: memoryFiles(stored),
    fetch: (url, init) => callServer(servers, url, init),
    clock: {
      wallMs: () => 1_767_225_600_000 + nowMs,
      monotonicMs: () => nowMs,
      after: (delayMs, act) => {
        const handle = setImmediate(() => {
          nowMs += delayMs;
          act();
        });
        return { cancel: () => clearImmediate(handle) };
      },
      endOfTurn: (act) => void setImmediate(act),
    },
    random: {
      bytes: (count) => new Uint8Array(count).fill(0xcd),
      below: (limit) => Math.floor(limit / 2),
    },
    sha256,
    progressBar: () => null,
    confirm: () => Promise.resolve(platform.confirms),
    onStopSignal: (act) => {
      stopListeners.add(act);
      return () => stopListeners.delete(act);
    },
    exitNow: (code) => {
      throw new Error(`exitNow(${code})`);
    },
    startNode: () => Promise.reject(new Error("no node here")),
    openDataWorld: () => Promise.reject(new Error("no data directories here")),
    spawnGyre: () => Promise.reject(new Error("no processes here")),
    isPortFree: () => Promise.resolve(true),
    stored,
    servers,
    out: () => joined(out),
    outText: () => new TextDecoder().decode(joined(out)),
    errText: () => new TextDecoder().decode(joined(err)),
    stdinBytes: new Uint8Array(0),
    stdinIsTerminal: false,
    confirms: false,
    stopListeners,
    run: (...argv) => runCli(argv, platform),
  };
  return platform;
}

/** The real HTTP application as one of the platform's servers. */
export function serverOf(world: HttpWorld): FakeServer {
  return ({ method, target, headers, body }) =>
    world.call(method, target, {
      headers: Object.fromEntries(headers),
      ...(body === undefined ? {} : { body }),
    });
}

async function callServer(
  servers: ReadonlyMap<string, FakeServer>,
  url: string,
  init: RequestInit = {},
): Promise<Response> {
  init.signal?.throwIfAborted();
  const { origin } = new URL(url);
  const server = servers.get(origin);
  if (server === undefined) throw connectionRefused(url);
  const { body } = init;
  return await server({
    url,
    method: init.method ?? "GET",
    target: url.slice(origin.length),
    headers: new Headers(init.headers),
    body:
      typeof body === "string" ? new TextEncoder().encode(body) : (body as Uint8Array | undefined),
  });
}

export function streamOf(bytes: Uint8Array, chunkBytes: number): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream<Uint8Array>({
    pull: (controller) => {
      if (at >= bytes.length) {
        controller.close();
        return;
      }
      controller.enqueue(bytes.slice(at, at + chunkBytes));
      at += chunkBytes;
    },
  });
}

function sha256(): Sha256 {
  const hash = createHash("sha256");
  return {
    update: (bytes) => void hash.update(bytes),
    hex: () => hash.copy().digest("hex"),
  };
}

function memoryFiles(stored: Map<string, Uint8Array>): CliFiles {
  return {
    readText: (path) => {
      const bytes = stored.get(path);
      return Promise.resolve(bytes === undefined ? undefined : new TextDecoder().decode(bytes));
    },
    writeText: (path, text) => {
      stored.set(path, new TextEncoder().encode(text));
      return Promise.resolve();
    },
    openRead: (path) => {
      const bytes = stored.get(path);
      if (bytes === undefined)
        return Promise.reject(new Error(`Cannot read ${path}: no such file`));
      return Promise.resolve({ sizeBytes: bytes.length, stream: streamOf(bytes, 1000) });
    },
    openWrite: (path, keepBytes) => {
      stored.set(path, (stored.get(path) ?? new Uint8Array(0)).slice(0, keepBytes));
      return Promise.resolve({
        write: (data) => {
          const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
          stored.set(path, joined([stored.get(path) ?? new Uint8Array(0), bytes]));
          return Promise.resolve();
        },
        close: () => Promise.resolve(),
      });
    },
    sizeBytes: (path) => Promise.resolve(stored.get(path)?.length),
    makeDirectory: () => Promise.resolve(),
    remove: (path) => {
      stored.delete(path);
      return Promise.resolve();
    },
  };
}

function joined(chunks: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}
