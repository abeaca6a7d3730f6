/** Starts and stops the servers that are measured, each as a process of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../", import.meta.url));

/** The kernel counts processor time in hundredths of a second. */
const CLOCK_TICK_MS = 10;

export type Runtime = "node" | "bun";

function command(runtime: Runtime): string {
  return `${ROOT}node_modules/.bin/${runtime}`;
}

/** The flags that `gyre dev` and the container image start Node with; the bare server gets the same. */
function flags(runtime: Runtime): readonly string[] {
  return runtime === "node" ? ["--min-semi-space-size=16", "--max-semi-space-size=32"] : [];
}

export class Server {
  readonly port: number;
  readonly #runtime: Runtime;
  readonly #args: readonly string[];
  readonly #ready: string;
  #child: ChildProcess | null = null;

  constructor(runtime: Runtime, port: number, args: readonly string[], ready: string) {
    this.port = port;
    this.#runtime = runtime;
    this.#args = args;
    this.#ready = ready;
  }

  /** Resolves with the time to ready in ms. */
  async start(): Promise<number> {
    const startedMs = performance.now();
    const child = spawn(command(this.#runtime), [...flags(this.#runtime), ...this.#args], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    this.#child = child;
    child.once("exit", (code, signal) => {
      if (this.#child === child) console.error(`server on ${this.port} ended: ${code ?? signal}`);
    });
    for (;;) {
      try {
        const response = await fetch(`http://127.0.0.1:${this.port}${this.#ready}`);
        await response.arrayBuffer();
        if (response.ok) return performance.now() - startedMs;
      } catch {
        // Not listening yet.
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Resident memory in MiB, as the kernel counts it. */
  residentMiB(): number {
    const status = readFileSync(`/proc/${this.#child?.pid}/status`, "utf8");
    return Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024);
  }

  /** Processor time spent so far, user and system, all threads, in ms. */
  cpuMs(): number {
    const stat = readFileSync(`/proc/${this.#child?.pid}/stat`, "utf8");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) * CLOCK_TICK_MS;
  }

  /** kill -9. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null) return;
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
  }

  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null) return;
    const exited = once(child, "exit");
    child.kill("SIGTERM");
    await exited;
  }
}

export function bareServer(runtime: Runtime, port: number): Server {
  return new Server(runtime, port, [`${ROOT}bench/bare.ts`, String(port)], "/v1/kv/a/b");
}

/** Data directories of one run, removed at its end. */
export class Workspace {
  readonly path = mkdtempSync(join(tmpdir(), "gyre-bench-"));

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }

  /** One node: `name` is its data directory, so that the same name finds the same data again. */
  node(runtime: Runtime, name: string, port: number): Server {
    return this.#serve(runtime, name, port, []);
  }

  /** Three nodes that hold three copies, in three regions. */
  cluster(runtime: Runtime, name: string, port: number): Server[] {
    const secret = join(this.path, `${name}-secret`);
    writeFileSync(secret, `${"5".repeat(64)}\n`, { mode: 0o600 });
    return ["eu", "us", "ap"].map((region, i) =>
      this.#serve(runtime, `${name}-${region}`, port + i, [
        ...["--region", region, "--cluster-secret-file", secret],
        ...(i === 0 ? ["--bootstrap-expect", "3"] : ["--join", `http://127.0.0.1:${port + 100}`]),
      ]),
    );
  }

  #serve(runtime: Runtime, name: string, port: number, extra: readonly string[]): Server {
    const args = [
      `${ROOT}runtimes/${runtime}.ts`,
      "serve",
      ...["--data", join(this.path, name), "--log-level", "warn"],
      ...["--listen", `127.0.0.1:${port}`, "--peer-listen", `127.0.0.1:${port + 100}`],
      ...extra,
    ];
    return new Server(runtime, port, args, "/readyz");
  }
}
