/** Starts this very program again, as `gyre dev` does for each node. */
import { spawn } from "node:child_process";
import { closeSync, existsSync, openSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import type { ChildNode, RuntimeName, SpawnOptions } from "../../src/cli/platform.ts";

/**
 * Requests live for a few ms: a young generation that holds more of them is collected less often and keeps less. Measured
 * with bench/in-process.ts, this took a tenth off a put (docs/operations.md, "Memory").
 */
const NODE_HEAP_FLAGS = ["--min-semi-space-size=16", "--max-semi-space-size=32"] as const;

/** How the running program was started: from its sources, or as a single executable that carries them inside. */
export interface Program {
  readonly runtime: RuntimeName;
  /** The directory of `node.ts`, `bun.ts` and `deno.ts`; null in a single executable. */
  readonly entries: string | null;
}

/**
 * `entryUrl` is the entry's `import.meta.url`, which bundles for single executables leave undefined (Node) or point
 * into a virtual file system (Bun: /$bunfs/).
 */
export function describeProgram(runtime: RuntimeName, entryUrl: string | undefined): Program {
  const path = entryUrl?.startsWith("file:") === true ? fileURLToPath(entryUrl) : undefined;
  const isSource = path?.endsWith(".ts") === true && existsSync(path);
  return { runtime, entries: isSource ? dirname(path) : null };
}

/** @throws Error when the runtime that is asked for cannot be started from here. */
export async function spawnGyre(program: Program, options: SpawnOptions): Promise<ChildNode> {
  const [command, ...prefix] = commandLine(program, options.runtime);
  const log = openSync(options.logPath, "a", 0o600);
  try {
    // A process group of its own: Ctrl-C reaches this program only, which then stops its nodes in order. The pipe is
    // what ends the nodes when this program dies without a chance to stop them (`--until-stdin-closes`).
    const child = spawn(command, [...prefix, ...options.args], {
      stdio: ["pipe", log, log],
      detached: true,
      env: withoutGyreVariables(process.env),
    });
    const exited = new Promise<{ code: number | null; signal: string | null }>((resolve) => {
      child.once("exit", (code, signal) => resolve({ code, signal }));
    });
    await new Promise<void>((resolve, reject) => {
      child.once("spawn", resolve);
      child.once("error", (error) => reject(cannotStart(command, error)));
    });
    child.stdin?.on("error", () => {
      // The child is gone; `exited` tells.
    });
    return { pid: child.pid ?? 0, exited, signal: (name) => void child.kill(name) };
  } finally {
    closeSync(log);
  }
}

/** What a person types into a shell here to run this program again. */
export function shellCommand(program: Program): string {
  const words = commandLine(program, program.runtime).filter(
    (word) => !word.startsWith("--disable-warning") && !word.includes("-semi-space-size="),
  );
  return words.map(shortPath).map(quoted).join(" ");
}

function shortPath(word: string): string {
  if (!word.startsWith("/")) return word;
  const path = relative(process.cwd(), word);
  return path.length < word.length && path.includes("/") ? path : word;
}

function quoted(word: string): string {
  return /^[\w./:@=+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

function cannotStart(command: string, error: Error): Error {
  return new Error(`Cannot start ${command}: ${error.message}. Is it installed and in PATH?`, {
    cause: error,
  });
}

function commandLine(program: Program, runtime: RuntimeName): [string, ...string[]] {
  const { entries } = program;
  if (entries === null) {
    if (runtime === program.runtime) return [process.execPath];
    throw new Error(
      `Cannot use --runtime ${runtime}: this executable carries ${program.runtime} only`,
    );
  }
  const entry = join(entries, `${runtime}.ts`);
  switch (runtime) {
    case "node":
      return [
        executable(program, entries, runtime),
        "--disable-warning=ExperimentalWarning",
        ...NODE_HEAP_FLAGS,
        entry,
      ];
    case "bun":
      return [executable(program, entries, runtime), entry];
    case "deno":
      return [executable(program, entries, runtime), "run", "--allow-all", entry];
  }
}

/** This process's own executable, else the one that npm installed beside the sources, else the one in PATH. */
function executable(program: Program, entries: string, runtime: RuntimeName): string {
  if (runtime === program.runtime) return process.execPath;
  const installed = join(entries, "..", "node_modules", ".bin", runtime);
  return existsSync(installed) ? installed : runtime;
}

/** The nodes of one cluster must not all take their region from the shell that started them. */
function withoutGyreVariables(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(environment).filter(([name]) => !name.startsWith("GYRE_")),
  );
}
