/** The world as the command line sees it. Implemented once for all runtimes by runtimes/shared/platform.ts; faked in tests. */
import type { ServeConfig } from "../config.ts";
import type { DataWorld } from "../data-tools.ts";
import type { Clock } from "../env/clock.ts";
import type { Random } from "../env/random.ts";

export type RuntimeName = "node" | "bun" | "deno";

export interface Output {
  /** A person is looking: colours and progress bars make sense. */
  readonly isTerminal: boolean;
  /** Resolves when the bytes have been taken over by the system. Text is written as UTF-8. */
  write(data: string | Uint8Array): Promise<void>;
}

export interface FileWriter {
  write(data: string | Uint8Array): Promise<void>;
  close(): Promise<void>;
}

/** Every method throws an Error whose message names the path and the reason. */
export interface CliFiles {
  /** Undefined when there is no such file. */
  readText(path: string): Promise<string | undefined>;
  /** Replaces the file as a whole: another process sees the old content or the new. `secret` makes it 0600. */
  writeText(path: string, text: string, options?: { readonly secret?: boolean }): Promise<void>;
  openRead(
    path: string,
  ): Promise<{ readonly sizeBytes: number; readonly stream: ReadableStream<Uint8Array> }>;
  /** Keeps the first `keepBytes` of the file (0 for a new one) and writes behind them. */
  openWrite(path: string, keepBytes: number): Promise<FileWriter>;
  /** Undefined when there is no such file. */
  sizeBytes(path: string): Promise<number | undefined>;
  makeDirectory(path: string): Promise<void>;
  remove(path: string): Promise<void>;
}

export interface ProgressBar {
  /** `done` and `total` in the same unit; `note` stands beside the bar. */
  update(done: number, note: string): void;
  end(note: string): void;
}

export interface Sha256 {
  update(bytes: Uint8Array): void;
  hex(): string;
}

export interface RunningNode {
  /** Stops listening, finishes what is under way, closes the data directory. */
  stop(): Promise<void>;
}

/** A process of this very program. */
export interface ChildNode {
  readonly pid: number;
  /** Never rejects. */
  readonly exited: Promise<{ readonly code: number | null; readonly signal: string | null }>;
  signal(name: "SIGTERM" | "SIGKILL"): void;
}

export interface SpawnOptions {
  readonly runtime: RuntimeName;
  readonly args: readonly string[];
  /** Takes the child's standard output and error, appended. */
  readonly logPath: string;
}

export interface Platform {
  readonly runtime: RuntimeName;
  /** Of the program, such as `0.1.0`. */
  readonly version: string;
  /** What a shell must be given to run this program again: `gyre`, or Node and a script. */
  readonly command: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly stdin: { readonly isTerminal: boolean; stream(): ReadableStream<Uint8Array> };
  readonly files: CliFiles;
  readonly fetch: (url: string, init?: RequestInit) => Promise<Response>;
  readonly clock: Clock;
  readonly random: Random;
  sha256(): Sha256;
  /** Null where nobody is looking. `total` is what `update` counts up to. */
  progressBar(total: number, label: string): ProgressBar | null;
  /** Asks on the terminal. REQUIRES stdin to be a terminal. */
  confirm(question: string): Promise<boolean>;
  /** Calls `act` for each SIGINT and SIGTERM instead of ending the process. Returns what takes it back. */
  onStopSignal(act: (signal: string) => void): () => void;
  /** Ends the process at once: the last resort when a stop hangs. */
  exitNow(code: number): never;
  startNode(config: ServeConfig): Promise<RunningNode>;
  /** For commands that look into data directories. */
  openDataWorld(): Promise<DataWorld>;
  /** A child that stops by itself when this process is gone. @throws Error when the runtime is not installed. */
  spawnGyre(options: SpawnOptions): Promise<ChildNode>;
  isPortFree(host: string, port: number): Promise<boolean>;
}
