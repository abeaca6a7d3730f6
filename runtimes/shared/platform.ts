/** The command line's world on Node, Bun and Deno: all three bring node:fs, node:child_process and node:process. */
import { createServer } from "node:net";
import process from "node:process";
import { confirm, isCancel, progress } from "@clack/prompts";
import type { Output, Platform, ProgressBar } from "../../src/cli/platform.ts";
import { VERSION } from "../../src/node-config.ts";
import { cliFiles, createSha256 } from "./platform-files.ts";
import { type Program, shellCommand, spawnGyre } from "./platform-spawn.ts";
import { systemClock } from "./system-clock.ts";
import { createSystemRandom } from "./system-random.ts";

export function createPlatform(
  program: Program,
  { startNode, openDataWorld }: Pick<Platform, "startNode" | "openDataWorld">,
): Platform {
  return {
    runtime: program.runtime,
    version: VERSION,
    command: shellCommand(program),
    environment: process.env,
    stdout: outputTo(process.stdout),
    stderr: outputTo(process.stderr),
    stdin: { isTerminal: process.stdin.isTTY === true, stream: () => streamOf(process.stdin) },
    files: cliFiles,
    fetch: (input, init) => fetch(input, init),
    clock: systemClock,
    random: createSystemRandom(),
    sha256: createSha256,
    progressBar,
    confirm: async (message) => {
      const answer = await confirm({ message, initialValue: false, output: process.stderr });
      return !isCancel(answer) && answer;
    },
    onStopSignal,
    exitNow: (code) => process.exit(code),
    startNode,
    openDataWorld,
    spawnGyre: (options) => spawnGyre(program, options),
    isPortFree,
  };
}

function outputTo(stream: NodeJS.WriteStream): Output {
  // Without a listener a closed pipe would end the process with a stack trace; the write's own callback tells it, too.
  stream.on("error", () => undefined);
  return {
    isTerminal: stream.isTTY === true,
    write: (data) =>
      new Promise((resolve, reject) => {
        stream.write(data, (error) => (error ? reject(error) : resolve()));
      }),
  };
}

function streamOf(source: AsyncIterable<Uint8Array>): ReadableStream<Uint8Array> {
  const chunks = source[Symbol.asyncIterator]();
  return new ReadableStream<Uint8Array>({
    pull: async (controller) => {
      const { done, value } = await chunks.next();
      if (done === true) controller.close();
      else controller.enqueue(value);
    },
    cancel: async () => {
      await chunks.return?.();
    },
  });
}

function progressBar(total: number, label: string): ProgressBar | null {
  if (process.stderr.isTTY !== true || process.env["CI"] !== undefined) return null;
  const bar = progress({ max: Math.max(1, total), output: process.stderr });
  bar.start(label);
  let shown = 0;
  return {
    update: (done, note) => {
      bar.advance(done - shown, note);
      shown = done;
    },
    end: (note) => bar.stop(note),
  };
}

function onStopSignal(act: (signal: string) => void): () => void {
  const signals = ["SIGINT", "SIGTERM"] as const;
  for (const signal of signals) process.on(signal, act);
  return () => {
    for (const signal of signals) process.off(signal, act);
  };
}

function isPortFree(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
