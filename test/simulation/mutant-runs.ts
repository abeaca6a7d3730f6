/** Plants one bug at a time in a copy of the tree and runs seeds there until a checker speaks. */
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Mutation } from "./mutation.ts";
import { MUTATIONS } from "./mutations.ts";
import { startChild } from "./seed-jobs.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

export interface MutantVerdict {
  readonly mutation: Mutation;
  /** How many seeds it took; null when none of them caught it. */
  readonly seeds: number | null;
  readonly checker: string;
}

/** A copy of what a run needs; packages are linked, not copied. */
class TreeCopy {
  readonly main: string;
  readonly #root: string;

  constructor() {
    this.#root = mkdtempSync(join(tmpdir(), "gyre-mutant-"));
    for (const folder of ["src", "runtimes", "test/simulation", "test/support"]) {
      mkdirSync(join(this.#root, folder), { recursive: true });
      cpSync(join(ROOT, folder), join(this.#root, folder), { recursive: true });
    }
    cpSync(join(ROOT, "package.json"), join(this.#root, "package.json"));
    symlinkSync(join(ROOT, "node_modules"), join(this.#root, "node_modules"));
    this.main = join(this.#root, "test/simulation/main.ts");
  }

  /** @throws Error when the text to be replaced is not there exactly once. */
  async with<T>(mutation: Mutation, run: () => Promise<T>): Promise<T> {
    const path = join(this.#root, mutation.file);
    const source = readFileSync(path, "utf8");
    const parts = source.split(mutation.find);
    if (parts.length !== 2) {
      throw new Error(
        `Cannot plant "${mutation.name}": its text occurs ${parts.length - 1} times in ${mutation.file}`,
      );
    }
    writeFileSync(path, parts.join(mutation.replace));
    try {
      return await run();
    } finally {
      writeFileSync(path, source);
    }
  }

  remove(): void {
    rmSync(this.#root, { recursive: true, force: true });
  }
}

async function judge(tree: TreeCopy, mutation: Mutation, seedsMax: number): Promise<MutantVerdict> {
  return tree.with(mutation, async () => {
    const child = startChild(tree.main);
    let seed = 1;
    try {
      for (; seed <= seedsMax; seed++) {
        const { violations } = await child.run(seed);
        const [first] = violations;
        if (first !== undefined) return { mutation, seeds: seed, checker: first.checker };
      }
      return { mutation, seeds: null, checker: "" };
    } catch (error) {
      // The process ended, or a loop of promise jobs kept it from ever ending the seed.
      return { mutation, seeds: seed, checker: `the seed never ends: ${String(error)}` };
    } finally {
      child.end();
    }
  });
}

/** Each mutation in turn; `onVerdict` sees each as it ends. */
export async function runMutants(
  mutations: readonly Mutation[],
  seedsMax: number,
  jobs: number,
  onVerdict: (verdict: MutantVerdict) => void,
): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    const tree = new TreeCopy();
    try {
      for (let at = next++; at < mutations.length; at = next++) {
        onVerdict(await judge(tree, mutations[at] as Mutation, seedsMax));
      }
    } finally {
      tree.remove();
    }
  };
  await Promise.all(Array.from({ length: jobs }, lane));
}

const CANARY_SEEDS = 40;

/** One bug that every smoke run must find: else the checkers see nothing any more. */
export async function runCanary(): Promise<{ readonly caught: boolean; readonly text: string }> {
  const canary = MUTATIONS.filter((mutation) => mutation.name.startsWith("every put's answer"));
  let text = "canary: not planted";
  let caught = false;
  await runMutants(canary, CANARY_SEEDS, 1, (verdict) => {
    caught = verdict.seeds !== null;
    text = caught
      ? `canary caught after ${verdict.seeds} seeds by ${verdict.checker}`
      : `canary NOT caught in ${CANARY_SEEDS} seeds: ${verdict.mutation.name}`;
  });
  return { caught, text };
}
