/** One `gyre serve` as a child process, on any runtime or as a single executable. For end-to-end tests. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";

const POLL_MS = 50;

/** Ports of this machine that nobody listened on a moment ago. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports = servers.map(async (server) => {
    server.listen({ host: "127.0.0.1", port: 0, exclusive: true });
    await once(server, "listening");
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("No port was given");
    return address.port;
  });
  // All are taken before the first is given back, so no port is handed out twice.
  const taken = await Promise.all(ports);
  await Promise.all(
    servers.map(async (server) => {
      server.close();
      await once(server, "close");
    }),
  );
  return taken;
}

export class ServeNode {
  readonly name: string;
  readonly url: string;
  readonly #child: ChildProcess;
  #output = "";

  /** `program` starts gyre; the arguments of `serve` follow it. */
  constructor(name: string, url: string, program: readonly string[], args: readonly string[]) {
    this.name = name;
    this.url = url;
    const [command = "", ...prefix] = program;
    this.#child = spawn(command, [...prefix, "serve", ...args, "--until-stdin-closes"], {
      stdio: ["pipe", "pipe", "pipe"],
    });
    const keep = (chunk: Buffer): void => {
      this.#output += chunk.toString();
    };
    this.#child.stdout?.on("data", keep);
    this.#child.stderr?.on("data", keep);
    this.#child.stdin?.on("error", () => undefined);
  }

  /** Resolves when the node takes data. @throws Error with its output when it ends before, or the time is over. */
  async ready(timeoutMs: number): Promise<void> {
    const giveUpAt = performance.now() + timeoutMs;
    while (performance.now() < giveUpAt) {
      const answer = await fetch(`${this.url}/readyz`).catch(() => undefined);
      if (answer?.ok === true) return;
      if (this.#child.exitCode !== null || this.#child.signalCode !== null) {
        throw new Error(`${this.name} ended before it was ready:\n${this.#output}`);
      }
      await new Promise((wake) => setTimeout(wake, POLL_MS));
    }
    throw new Error(`${this.name} is not ready after ${timeoutMs} ms:\n${this.#output}`);
  }

  /** Resolves with the exit code. */
  async stop(): Promise<number | null> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) {
      return this.#child.exitCode;
    }
    const exited = once(this.#child, "exit");
    this.#child.kill("SIGTERM");
    await exited;
    return this.#child.exitCode;
  }
}
