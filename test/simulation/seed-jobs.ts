/** Spreads seeds over child processes: each asks for the next seed when it has done one. */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { createSystemHasher } from "../../runtimes/shared/system-hasher.ts";
import { type Figures, figuresOf } from "./figures.ts";
import type { Profile } from "./profile.ts";
import { runSeed, type SeedResult } from "./run-seed.ts";

const MAIN = fileURLToPath(new URL("./main.ts", import.meta.url));
/**
 * A seed that takes longer hangs: the child is killed and the seed has failed. Generous, because a busy machine is no bug; what
 * hangs for good is a loop of promise jobs, in which no virtual time passes and no deadline comes.
 */
const SEED_LIMIT_MS = 120_000;

/** Runs all seeds, `jobs` at a time; `onResult` sees each as it ends. */
export async function runSeeds(
  seeds: readonly number[],
  profile: Profile,
  jobs: number,
  onResult: (result: SeedResult) => void,
): Promise<Figures> {
  const results: SeedResult[] = [];
  const startMs = performance.now();
  let next = 0;
  const lane = async (): Promise<void> => {
    const child = startChild(MAIN, profile);
    try {
      for (let at = next++; at < seeds.length; at = next++) {
        const result = await child.run(seeds[at] as number);
        results.push(result);
        onResult(result);
        showProgress(results.length, seeds.length);
      }
    } finally {
      child.end();
    }
  };
  await Promise.all(Array.from({ length: Math.min(jobs, seeds.length) }, lane));
  return figuresOf(results, performance.now() - startMs);
}

interface SeedChild {
  run(seed: number): Promise<SeedResult>;
  end(): void;
}

/** A child that runs one seed after another: `--serve` reads their numbers from stdin and answers with a line each. */
export function startChild(main: string, profile: Profile = "full"): SeedChild {
  const runtimeFlags = "Deno" in globalThis ? ["run", "-A"] : [];
  const args = [...runtimeFlags, main, "--serve", "--profile", profile];
  const child: ChildProcess = spawn(process.execPath, args, {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const { stdin, stdout } = child;
  if (stdin === null || stdout === null) throw new Error("a child without pipes");
  let resolve: ((line: string) => void) | null = null;
  let reject: ((error: Error) => void) | null = null;
  createInterface({ input: stdout }).on("line", (line) => resolve?.(line));
  child.on("exit", (code) => reject?.(new Error(`a simulator process ended with ${code}`)));
  return {
    run: async (seed) => {
      const timer = setTimeout(() => {
        reject?.(new Error(`seed ${seed} took more than ${SEED_LIMIT_MS} ms`));
        child.kill("SIGKILL");
      }, SEED_LIMIT_MS);
      try {
        const line = await new Promise<string>((onLine, onEnd) => {
          resolve = onLine;
          reject = onEnd;
          stdin.write(`${seed}\n`);
        });
        return JSON.parse(line) as SeedResult;
      } finally {
        clearTimeout(timer);
        resolve = null;
        reject = null;
      }
    },
    end: () => stdin.end(),
  };
}

export async function serveSeeds(profile: Profile): Promise<void> {
  const hasher = await createSystemHasher();
  // Nobody reads the stacks of the errors that a lossy network makes by the thousand, and they took a sixth of the time.
  Error.stackTraceLimit = 0;
  for await (const line of createInterface({ input: process.stdin })) {
    const result = await runSeed(Number(line), hasher, profile);
    process.stdout.write(`${JSON.stringify(result)}\n`);
  }
}

function showProgress(done: number, all: number): void {
  if (process.stderr.isTTY) process.stderr.write(`\r${done}/${all}${done === all ? "\n" : ""}`);
}
