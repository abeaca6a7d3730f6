/** One `gyre serve` as a child process, on any runtime or as a single executable. For end-to-end tests. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import process from "node:process";

const POLL_MS = 50;

export class ServeNode {
  readonly name: string;
  readonly url: string;
  /** Resolves with the exit code, or with the name of the signal that ended it. */
  readonly ended: Promise<number | string>;
  readonly #child: ChildProcess;
  #output = "";

  /** `program` starts gyre; the arguments of `serve` follow it. `environment` is added to this process's own. */
  constructor(
    name: string,
    url: string,
    program: readonly string[],
    args: readonly string[],
    environment: Readonly<Record<string, string>> = {},
  ) {
    this.name = name;
    this.url = url;
    const [command = "", ...prefix] = program;
    this.#child = spawn(command, [...prefix, "serve", ...args, "--until-stdin-closes"], {
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...process.env, ...environment },
    });
    const keep = (chunk: Buffer): void => {
      this.#output += chunk.toString();
    };
    this.#child.stdout?.on("data", keep);
    this.#child.stderr?.on("data", keep);
    this.#child.stdin?.on("error", () => undefined);
    this.ended = new Promise((resolve) => {
      // "close" comes when its output has been read to the end as well.
      this.#child.on("close", (code, signal) => resolve(code ?? signal ?? "?"));
      this.#child.on("error", (error) => resolve(error.message));
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** All that it has printed so far. */
  get output(): string {
    return this.#output;
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  /** Resolves when the node takes data. @throws Error with its output when it ends before, or the time is over. */
  async ready(timeoutMs: number): Promise<void> {
    const giveUpAt = performance.now() + timeoutMs;
    while (performance.now() < giveUpAt) {
      const answer = await fetch(`${this.url}/readyz`).catch(() => undefined);
      await answer?.body?.cancel();
      if (answer?.ok === true) return;
      if (this.hasEnded)
        throw new Error(`${this.name} ended before it was ready:\n${this.#output}`);
      await new Promise((wake) => setTimeout(wake, POLL_MS));
    }
    throw new Error(`${this.name} is not ready after ${timeoutMs} ms:\n${this.#output}`);
  }

  /** Resolves with the exit code. */
  async stop(): Promise<number | null> {
    if (this.hasEnded) return this.#child.exitCode;
    const exited = once(this.#child, "exit");
    this.#child.kill("SIGTERM");
    await exited;
    return this.#child.exitCode;
  }
}
