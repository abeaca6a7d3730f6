/**
 * kill -9 in the middle of many writers, again and again: after each restart every acknowledged write must be there, byte
 * for byte. One node, or three of which one is killed at a time; every third kill is followed by kills during the start, and
 * every fourth comes late enough to meet the log being moved into the database.
 *
 *     npm run e2e:kill -- [--rounds 50] [--runtime node|bun|deno] [--nodes 1|3] [--seed N] [--totals FILE]
 */
import process from "node:process";
import { readCommandLine } from "../support/command-line.ts";
import { Totals } from "./campaign.ts";
import { RUNTIMES, type Runtime } from "./dev-cluster.ts";
import { RegisterLoad } from "./register-load.ts";
import { ServeCluster } from "./serve-cluster.ts";

/** A round's kill comes when so many more writes were acknowledged, or a few: any moment of a commit must be met. */
const ACKS_BEFORE_KILL_MAX = 600;
/** So many writes fill the log beyond the 8 MiB at which it is moved. */
const ACKS_BEFORE_LATE_KILL_MAX = 5_000;
/** A start takes some 600 ms, reading the log among it. */
const START_MS = 800;

export interface KillLoopOptions {
  readonly rounds: number;
  readonly nodes: 1 | 3;
  readonly runtime: Runtime;
  readonly seed: number;
  readonly say?: (line: string) => void;
  readonly totals?: string;
}

export interface KillFigures {
  readonly kills: number;
  readonly killsDuringStart: number;
  readonly acknowledged: number;
  /** Writes under way when their node died, or answered 503: each may be there or not. */
  readonly indeterminate: number;
  readonly missing: readonly string[];
}

const FIGURES = ["kills", "kills during a start", "acknowledged", "missing"];

class KillLoop {
  readonly #options: KillLoopOptions;
  readonly #cluster: ServeCluster;
  readonly #load: RegisterLoad;
  readonly #totals: Totals;
  #kills = 0;
  #killsDuringStart = 0;

  constructor(options: KillLoopOptions) {
    this.#options = options;
    const regions = options.nodes === 1 ? ["eu"] : ["eu", "us", "ap"];
    const cluster = new ServeCluster({ nodes: options.nodes, regions, runtime: options.runtime });
    this.#cluster = cluster;
    this.#totals = new Totals(options.totals, FIGURES);
    // Runs that are added up must not meet the same moments again.
    const seed = options.seed + this.#totals.of("kills");
    const urlOf = (node: number): string => cluster.node(node).url;
    this.#load = new RegisterLoad({ nodes: options.nodes, seed, urlOf });
  }

  async run(): Promise<KillFigures> {
    const { rounds, say } = this.#options;
    const load = this.#load;
    try {
      await this.#cluster.start();
      for (let round = 1; round <= rounds; round++) {
        const before = load.acknowledged.length;
        const missingBefore = load.missing.length;
        await this.#round(round);
        await load.verify(load.acknowledged.slice(before));
        this.#totals.add("acknowledged", load.acknowledged.length - before);
        this.#totals.add("missing", load.missing.length - missingBefore);
        this.#totals.save();
        say?.(
          `round ${round}: ${load.acknowledged.length - before} writes acknowledged, ${load.missing.length} missing so far`,
        );
      }
      // What an earlier round wrote must have survived all later kills as well.
      const missingBefore = load.missing.length;
      await load.verify(load.acknowledged);
      this.#totals.add("missing", load.missing.length - missingBefore);
      this.#totals.save();
    } finally {
      await this.#cluster.close();
    }
    if (this.#options.totals !== undefined) say?.(`added up: ${this.#totals.describe()}`);
    return {
      kills: this.#kills,
      killsDuringStart: this.#killsDuringStart,
      acknowledged: load.acknowledged.length,
      indeterminate: load.indeterminate,
      missing: load.missing,
    };
  }

  async #round(round: number): Promise<void> {
    const load = this.#load;
    const victim = load.below(this.#options.nodes);
    const acksMax = round % 4 === 0 ? ACKS_BEFORE_LATE_KILL_MAX : ACKS_BEFORE_KILL_MAX;
    await load.writeUntil(round, 1 + load.below(acksMax), async () => {
      this.#kill(victim);
      for (let again = round % 3 === 0 ? 1 + load.below(2) : 0; again > 0; again--) {
        await this.#cluster.restartFor(victim, load.below(START_MS));
        this.#kill(victim);
        this.#killsDuringStart++;
        this.#totals.add("kills during a start");
      }
      await this.#cluster.restart(victim);
    });
    await this.#cluster.untilAllUp();
  }

  #kill(victim: number): void {
    this.#cluster.node(victim).signal("SIGKILL");
    this.#kills++;
    this.#totals.add("kills");
  }
}

/** @throws Error when the store answers what it must not; what is missing is in the figures. */
export function killLoop(options: KillLoopOptions): Promise<KillFigures> {
  return new KillLoop(options).run();
}

async function main(): Promise<number> {
  const values = await readCommandLine({
    name: "npm run e2e:kill --",
    description: "kill -9 again and again under load: every acknowledged write must be there",
    options: {
      rounds: { type: "count", default: 50, description: "Kills" },
      runtime: { type: "choice", of: RUNTIMES, default: "node", description: "Of the nodes" },
      nodes: {
        type: "choice",
        of: ["1", "3"],
        default: "1",
        description: "A single node, or one of three",
      },
      seed: { type: "count", default: 1, description: "Of the moments" },
      totals: { type: "text", hint: "FILE", description: "Add the figures to those in FILE" },
    },
  });
  const say = (line: string): void => console.log(line);
  const figures = await killLoop({
    rounds: values.rounds,
    runtime: values.runtime,
    nodes: values.nodes === "3" ? 3 : 1,
    seed: values.seed,
    say,
    ...(values.totals !== undefined && { totals: values.totals }),
  });
  for (const line of figures.missing.slice(0, 20)) say(`MISSING ${line}`);
  say(
    `${values.runtime}, ${values.nodes} node(s): ${figures.kills} kills, ${figures.killsDuringStart} of them during a start, ` +
      `${figures.acknowledged} acknowledged writes, ${figures.indeterminate} under way at a kill, ${figures.missing.length} missing`,
  );
  say(`${figures.kills} passed, ${figures.missing.length} failed`);
  return figures.missing.length === 0 ? 0 : 1;
}

if (import.meta.main) process.exitCode = await main();
