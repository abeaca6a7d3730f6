/** One run: a fresh cluster, clients, a nemesis, healing, and all checkers over the history. */
import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { gyreCommand, type Runtime } from "../e2e/dev-cluster.ts";
import { ChaosCluster } from "./chaos-cluster.ts";
import { checkRows } from "./checkers/convergence.ts";
import { checkFinalState } from "./checkers/final-state.ts";
import { checkSessions } from "./checkers/sessions.ts";
import { checkSet } from "./checkers/sets.ts";
import { checkStrictReads } from "./checkers/strict-reads.ts";
import type { Violation } from "./checkers/violation.ts";
import { History } from "./history.ts";
import type { Nemesis } from "./nemeses.ts";
import { finalValues, ringOf, untilAgreed, untilHandedOver } from "./settle.ts";
import { Workload } from "./workload.ts";

/** All owners must agree so long after the world is whole. */
const CONVERGED_WITHIN_MS = 60_000;
/** Fewer operations than these a second prove nothing: the run does not count. */
export const READS_PER_SECOND_MIN = 20;
export const WRITES_PER_SECOND_MIN = 10;
/** Clients go on for a while on the healed cluster. */
const AFTER_HEALING_MS = 2_000;

export interface RunOptions {
  readonly nemesis: Nemesis;
  readonly seconds: number;
  readonly runtime: Runtime;
  readonly seed: number;
  /** Kept: the history, the nodes' logs. */
  readonly directory: string;
  readonly say: (line: string) => void;
}

export interface RunResult {
  readonly nemesis: string;
  readonly seed: number;
  readonly directory: string;
  readonly strikes: number;
  readonly reads: number;
  readonly writes: number;
  readonly indeterminate: number;
  readonly refused: number;
  readonly keys: number;
  /** From healing until all owners agreed; null when they did not. */
  readonly convergedMs: number | null;
  readonly violations: readonly Violation[];
  /** Too few operations succeeded. */
  readonly isIdle: boolean;
}

export async function run(options: RunOptions): Promise<RunResult> {
  const { directory, nemesis } = options;
  mkdirSync(directory, { recursive: true });
  const history = new History(join(directory, "history.jsonl"));
  const cluster = new ChaosCluster(directory, options.runtime);
  try {
    await cluster.start();
    return await new Run(options, cluster, history).whole();
  } finally {
    await cluster.close();
    history.note("end", { nemesis: nemesis.name, seed: options.seed });
    await history.close();
  }
}

class Run {
  readonly #options: RunOptions;
  readonly #cluster: ChaosCluster;
  readonly #history: History;
  readonly #workload: Workload;
  readonly #violations: Violation[] = [];
  #strikes = 0;

  constructor(options: RunOptions, cluster: ChaosCluster, history: History) {
    this.#options = options;
    this.#cluster = cluster;
    this.#history = history;
    this.#workload = new Workload({
      nodes: cluster.nodes,
      history,
      sessionsWriteOne: options.nemesis.losesDisk !== true,
      chance: generator(options.seed),
    });
  }

  async whole(): Promise<RunResult> {
    this.#workload.start();
    await this.#torment();
    await this.#cluster.heal();
    const healedMs = performance.now();
    this.#history.note("healed");
    await new Promise((wake) => setTimeout(wake, AFTER_HEALING_MS));
    await this.#workload.stop();
    const { keys } = this.#workload;
    const { tookMs, apart } = await untilAgreed(this.#cluster, keys, healedMs, CONVERGED_WITHIN_MS);
    for (const node of await untilHandedOver(this.#cluster, healedMs, CONVERGED_WITHIN_MS)) {
      this.#report("convergence", node, "keeps writes for others after a minute");
    }
    for (const key of apart)
      this.#report("convergence", key, "its owners do not agree after a minute");
    const final = await finalValues(this.#cluster, keys);
    this.#violations.push(...final.violations);
    const ring = await ringOf(this.#cluster);
    for (const name of await this.#cluster.stop()) this.#report("stop", name, "had to be killed");
    this.#violations.push(
      ...checkRows(
        ring,
        this.#cluster.nodes.map((node) => node.data),
      ),
    );
    for (const { key, text } of this.#workload.wrongBytes) this.#report("wrong bytes", key, text);
    for (const node of this.#cluster.nodes) {
      for (const fault of faultsOf(node.data)) this.#report("verify", `node ${node.number}`, fault);
    }
    this.#check(final.values);
    return this.#result(tookMs);
  }

  async #torment(): Promise<void> {
    const { nemesis, seconds, seed, say } = this.#options;
    const endMs = performance.now() + seconds * 1000;
    const wait = async (delayMs: number): Promise<boolean> => {
      const leftMs = endMs - performance.now();
      await new Promise((wake) => setTimeout(wake, Math.max(0, Math.min(delayMs, leftMs))));
      return performance.now() < endMs;
    };
    const note = (text: string): void => {
      this.#history.note("strike", { text });
      say(`  ${text}`);
    };
    const strike = { cluster: this.#cluster, chance: generator(seed + 1), wait, note };
    await wait(1_000);
    while (performance.now() < endMs) {
      await nemesis.strike(strike);
      this.#strikes++;
    }
  }

  #check(values: Awaited<ReturnType<typeof finalValues>>["values"]): void {
    for (const [key, operations] of this.#history.byKey()) {
      const group = operations[0]?.group;
      const final = values.get(key);
      if (final !== undefined) {
        this.#violations.push(...checkFinalState(key, operations, final.visible));
        if (group === "set") this.#violations.push(...checkSet(key, operations, final.elements));
      }
      if (group === "strict") this.#violations.push(...checkStrictReads(key, operations));
      if (group === "session") this.#violations.push(...checkSessions(key, operations));
      for (const { answer, node } of operations) {
        if (answer.startsWith("500")) this.#report("bug", key, `node ${node} answered ${answer}`);
      }
    }
  }

  #report(checker: string, key: string, text: string): void {
    this.#violations.push({ checker, key, text });
  }

  #result(convergedMs: number | null): RunResult {
    const { operations } = this.#history;
    const count = (wanted: (operation: (typeof operations)[number]) => boolean): number =>
      operations.filter(wanted).length;
    const reads = count(({ kind, outcome }) => kind === "get" && outcome === "ok");
    const writes = count(({ kind, outcome }) => kind !== "get" && outcome === "ok");
    const { seconds, nemesis, seed, directory } = this.#options;
    for (const violation of this.#violations) this.#history.note("violation", { ...violation });
    return {
      nemesis: nemesis.name,
      seed,
      directory,
      strikes: this.#strikes,
      reads,
      writes,
      indeterminate: count(({ kind, outcome }) => kind !== "get" && outcome === "info"),
      refused: count(({ outcome }) => outcome === "fail"),
      keys: this.#workload.keys.length,
      convergedMs,
      violations: this.#violations,
      isIdle: reads < seconds * READS_PER_SECOND_MIN || writes < seconds * WRITES_PER_SECOND_MIN,
    };
  }
}

/** What `gyre verify` finds wrong with a stopped node's directory. */
function faultsOf(directory: string): readonly string[] {
  const [command, ...prefix] = gyreCommand("node");
  const args = [...prefix, "verify", directory, "--json"];
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8" });
  if (status === 0) return [];
  return [`${stdout}${stderr}`.slice(0, 500)];
}

/** mulberry32: which faults come when follows from the seed, though not what the processes make of them. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
