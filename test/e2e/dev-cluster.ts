/** A `gyre dev` cluster as a child process: real processes, real sockets, real files. For end-to-end tests. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { freePortRange } from "./ports.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

export const RUNTIMES = ["node", "bun", "deno"] as const;
export type Runtime = (typeof RUNTIMES)[number];

export interface DevNode {
  readonly number: number;
  readonly region: string;
  readonly url: string;
  pid: number;
}

/** How to start `gyre` on a runtime, from the sources. */
export function gyreCommand(runtime: Runtime): readonly [string, ...string[]] {
  const bin = (name: string) => `${ROOT}node_modules/.bin/${name}`;
  if (runtime === "bun") return [bin("bun"), `${ROOT}runtimes/bun.ts`];
  if (runtime === "deno") return [bin("deno"), "run", "-A", `${ROOT}runtimes/deno.ts`];
  return [bin("node"), `${ROOT}runtimes/node.ts`];
}

/** Peers of `gyre dev` listen so far above its clients. */
const PEER_PORT_OFFSET = 1_000;

/** A `--port` for `gyre dev`: it and all that follow from it were free a moment ago. */
export function freeDevPort(nodes: number): Promise<number> {
  const clients = Array.from({ length: nodes }, (_, index) => index);
  return freePortRange([...clients, ...clients.map((each) => each + PEER_PORT_OFFSET)]);
}

export class DevCluster {
  readonly nodes: DevNode[] = [];
  readonly #runtime: Runtime;
  readonly #args: readonly string[];
  readonly #children: ChildProcess[] = [];

  constructor(options: {
    readonly runtime: Runtime;
    readonly data: string;
    readonly port: number;
    readonly nodes: number;
  }) {
    this.#runtime = options.runtime;
    this.#args = [
      ...["--nodes", String(options.nodes), "--data", options.data],
      ...["--port", String(options.port), "--runtime", options.runtime],
    ];
  }

  /** Resolves when `cluster ready` was printed. @throws Error with the output when the process ends before. */
  async start(): Promise<void> {
    await this.#run([], (line) => line.startsWith("cluster ready"));
    this.nodes.sort((a, b) => a.number - b.number);
  }

  node(number: number): DevNode {
    const node = this.nodes.find((one) => one.number === number);
    if (node === undefined) throw new Error(`No node ${number}`);
    return node;
  }

  /** kill -9 of one node's process. */
  kill(number: number): void {
    process.kill(this.node(number).pid, "SIGKILL");
  }

  /** Starts a killed node again, as a user would: `gyre dev --only N`. Resolves when it says that it is ready. */
  async restart(number: number): Promise<void> {
    await this.#run(["--only", String(number)], (line) => line.startsWith(`node=${number} `));
  }

  /** SIGINT to every `gyre dev`; resolves when all have ended. Returns their exit codes. */
  async stop(): Promise<(number | null)[]> {
    const codes = this.#children.map(async (child) => {
      if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
      const exited = once(child, "exit");
      child.kill("SIGINT");
      await exited;
      return child.exitCode;
    });
    return Promise.all(codes);
  }

  async #run(extra: readonly string[], isReady: (line: string) => boolean): Promise<void> {
    const [command, ...prefix] = gyreCommand(this.#runtime);
    const child = spawn(command, [...prefix, "dev", ...this.#args, ...extra], {
      cwd: ROOT,
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#children.push(child);
    const output: string[] = [];
    await new Promise<void>((resolve, reject) => {
      const read = (line: string): void => {
        output.push(line);
        this.#note(line);
        if (isReady(line)) resolve();
      };
      createInterface({ input: child.stdout }).on("line", read);
      createInterface({ input: child.stderr }).on("line", read);
      child.once("error", reject);
      child.once("exit", (code) => {
        reject(new Error(`gyre dev ended with ${code}:\n${output.join("\n")}`));
      });
    });
  }

  #note(line: string): void {
    const match = /^node=(\d+) region=(\S+) url=(\S+) pid=(\d+) ready/.exec(line);
    if (match === null) return;
    const [, number = "", region = "", url = "", pid = ""] = match;
    const known = this.nodes.find((node) => node.number === Number(number));
    if (known !== undefined) known.pid = Number(pid);
    else this.nodes.push({ number: Number(number), region, url, pid: Number(pid) });
  }
}

/** True while a process with this id exists. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
