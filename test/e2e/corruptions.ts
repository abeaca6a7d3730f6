/**
 * Damage to the files of one of three replicas, again and again. From the moment that the node is up again no answer may hold
 * wrong bytes or lack what was acknowledged, and within a minute all three must hold the same of every key. At the end every
 * key is read from every node, and `gyre verify` must find nothing left in any of the three directories.
 *
 *     npm run campaign:corrupt -- [--trials 500] [--seed N] [--runtime node|bun|deno] [--totals FILE]
 */
import { spawnSync } from "node:child_process";
import process from "node:process";
import { readCommandLine } from "../support/command-line.ts";
import { Totals } from "./campaign.ts";
import { damageOne } from "./damage.ts";
import { gyreCommand, RUNTIMES, type Runtime } from "./dev-cluster.ts";
import { addressOf, RegisterLoad } from "./register-load.ts";
import { ask, jsonOf, parallel, until } from "./requests.ts";
import { ServeCluster } from "./serve-cluster.ts";

const NODES = 3;
const ACKS_PER_TRIAL = 60;
const READERS = 16;
/** Keys that each trial reads from the damaged node alone, of those written before. */
const OLD_KEYS_READ = 150;
const REPAIR_MS = 60_000;
const READY_MS = 120_000;
/** A broken tree shows in a write: the process ends, and who runs it starts it again. */
const STARTS_MAX = 4;

export interface CorruptionOptions {
  readonly trials: number;
  readonly seed: number;
  readonly runtime: Runtime;
  readonly say?: (line: string) => void;
  readonly totals?: string;
}

export interface CorruptionFigures {
  readonly trials: number;
  readonly acknowledged: number;
  readonly answersRead: number;
  /** Trials in which the node itself said that something was damaged or lost. */
  readonly noticed: number;
  readonly faults: readonly string[];
}

const FIGURES = ["trials", "noticed", "answers read", "faults"];
const NOTICED =
  /"event":"(row-damaged|row-undecodable|database-damaged|database-lost-commits|identity-repaired|fail-stop)"/;

interface Explained {
  readonly owners: readonly {
    readonly id: string;
    readonly siblings: readonly { readonly dot: string }[] | null;
    readonly error?: string;
  }[];
}

/** @throws Error when a node cannot be started again; what else is wrong is in the figures. */
export async function corruptions(options: CorruptionOptions): Promise<CorruptionFigures> {
  const cluster = new ServeCluster({
    nodes: NODES,
    regions: ["eu", "us", "ap"],
    runtime: options.runtime,
  });
  const totals = new Totals(options.totals, FIGURES);
  const load = new RegisterLoad({
    nodes: NODES,
    // Runs that are added up must not meet the same damage again.
    seed: options.seed + totals.of("trials"),
    urlOf: (node) => cluster.node(node).url,
    raise: () => campaign.raise(),
  });
  const campaign: Corruptions = new Corruptions(options, cluster, load, totals);
  try {
    await cluster.start();
    return await campaign.run();
  } finally {
    await cluster.close();
  }
}

class Corruptions {
  readonly #options: CorruptionOptions;
  readonly #cluster: ServeCluster;
  readonly #load: RegisterLoad;
  readonly #totals: Totals;
  readonly #faults: string[] = [];
  #answersRead = 0;
  #noticed = 0;
  /** What nodes of this trial have said that are gone. */
  #outputs: string[] = [];
  #raising: Promise<void> | null = null;
  /** Faults that the totals have. */
  #counted = 0;

  constructor(
    options: CorruptionOptions,
    cluster: ServeCluster,
    load: RegisterLoad,
    totals: Totals,
  ) {
    this.#options = options;
    this.#cluster = cluster;
    this.#load = load;
    this.#totals = totals;
  }

  async run(): Promise<CorruptionFigures> {
    for (let trial = 1; trial <= this.#options.trials; trial++) await this.#trial(trial);
    await this.#end();
    return {
      trials: this.#options.trials,
      acknowledged: this.#load.acknowledged.length,
      answersRead: this.#answersRead,
      noticed: this.#noticed,
      faults: this.#faults,
    };
  }

  #fault(what: string): void {
    this.#faults.push(what);
    this.#options.say?.(`FAULT ${what}`);
  }

  async #trial(trial: number): Promise<void> {
    const load = this.#load;
    const victim = load.below(NODES);
    const before = load.acknowledged.length;
    const read = this.#answersRead;
    await this.raise();
    await load.writeUntil(trial, ACKS_PER_TRIAL, () => Promise.resolve());
    // A clean stop leaves all in the database, kill -9 most of it in the log.
    if (load.below(3) === 0) await this.#cluster.node(victim).stop();
    else this.#cluster.node(victim).signal("SIGKILL");
    await this.#cluster.node(victim).ended;
    const done = damageOne(this.#cluster.dataOf(victim), (limit) => load.below(limit));
    const name = `trial ${trial}, node ${victim}, ${done.damage} of ${done.file} (${done.detail})`;
    const faultsBefore = this.#faults.length;
    const noticed = await this.#follow(name, victim, load.acknowledged.slice(before));
    if (noticed) this.#noticed++;
    const faults = this.#faults.length - faultsBefore;
    this.#totals.add("trials");
    this.#totals.add("noticed", noticed ? 1 : 0);
    this.#totals.add("answers read", this.#answersRead - read);
    this.#totals.add("faults", faults);
    this.#counted += faults;
    this.#totals.save();
    this.#options.say?.(
      `${name}: ${noticed ? "noticed" : "without effect"}, ${faults === 0 ? "repaired" : `${faults} FAULTS`}`,
    );
  }

  /** Damage that no trial met shows when every key is read; afterwards nothing may be left in any file. */
  async #end(): Promise<void> {
    await this.raise();
    await this.#equal("at the end", this.#load.acknowledged);
    // What a row's repair found in the tree may have ended a process.
    await this.raise();
    await this.#equal("at the very end", this.#load.acknowledged);
    for (const [index, node] of this.#cluster.nodes.entries()) {
      await node.stop();
      const [command, ...prefix] = gyreCommand(this.#options.runtime);
      const args = [...prefix, "verify", this.#cluster.dataOf(index)];
      const { status, stdout } = spawnSync(command, args, { encoding: "utf8" });
      this.#options.say?.(stdout.trimEnd());
      if (status !== 0) this.#fault(`at the end, node ${index}: ${stdout}`);
    }
    this.#totals.add("faults", this.#faults.length - this.#counted);
    this.#totals.save();
  }

  /** True when the node said that something was wrong with its files. */
  async #follow(name: string, victim: number, fresh: readonly string[]): Promise<boolean> {
    const load = this.#load;
    this.#outputs = [];
    await this.#start(victim);
    const old = load.acknowledged.slice(0, load.acknowledged.length - fresh.length);
    const some = Array.from(
      { length: Math.min(OLD_KEYS_READ, old.length) },
      () => old[load.below(old.length)] ?? "",
    );
    const keys = [...new Set([...fresh, ...some])];
    await this.#readAtOnce(name, victim, keys);
    await this.#equal(name, keys);
    // Registers, too, and once more from all nodes.
    const missing = load.missing.length;
    await load.verify(keys);
    this.#answersRead += keys.length;
    for (const line of load.missing.slice(missing)) this.#fault(`${name}: ${line}`);
    this.#outputs.push(this.#cluster.node(victim).output);
    return this.#outputs.some((output) => NOTICED.test(output));
  }

  /** Starts the node as its service manager would: again, when it ends itself. */
  async #start(victim: number): Promise<void> {
    for (let start = 1; ; start++) {
      const node = await this.#cluster.restartFor(victim, 0);
      try {
        await node.ready(READY_MS);
        return;
      } catch (error) {
        this.#outputs.push(node.output);
        if (start === STARTS_MAX) throw error;
      }
    }
  }

  /** Whatever ended by itself runs again. Several may ask at once. */
  raise(): Promise<void> {
    this.#raising ??= this.#raiseAll().finally(() => {
      this.#raising = null;
    });
    return this.#raising;
  }

  async #raiseAll(): Promise<void> {
    for (const [index, node] of this.#cluster.nodes.entries()) {
      if (!node.hasEnded) continue;
      this.#outputs.push(node.output);
      const lines = node.output.trimEnd().split("\n");
      const last = lines.findLast((line) => line.includes('"level":"error"')) ?? lines.at(-1);
      this.#options.say?.(`  node ${index} ended itself: ${last}`);
      await this.#start(index);
    }
  }

  /** What the damaged node answers while it is being repaired: right bytes, or that it cannot tell. */
  async #readAtOnce(name: string, victim: number, keys: readonly string[]): Promise<void> {
    for (const consistency of ["one", "quorum"]) {
      await this.raise();
      await parallel(keys, READERS, async (key) => {
        const url = `${addressOf(this.#cluster.node(victim).url, key)}?consistency=${consistency}`;
        const got = await ask(url).catch((error: unknown) => {
          // The process ended itself in the middle: no answer is none.
          if (error instanceof TypeError) return null;
          throw error;
        });
        if (got === null) return;
        this.#answersRead++;
        if (got.status === 503) return;
        if (got.status === 200 && this.#load.isRight(key, got.body)) return;
        // One replica alone may be behind; it must not be wrong.
        if (got.status === 404 && consistency === "one") return;
        this.#fault(`${name}: ${consistency} of ${key}: ${got.status}, ${got.body.length} bytes`);
      });
    }
  }

  /** Every owner of every key holds the same, and says so. */
  async #equal(name: string, keys: readonly string[]): Promise<void> {
    let left = [...keys];
    let last = "";
    const look = async (): Promise<true | undefined> => {
      await this.raise();
      const unequal: string[] = [];
      await parallel(left, READERS, async (key) => {
        const difference = await this.#difference(key).catch((error: unknown) => String(error));
        if (difference === null) return;
        unequal.push(key);
        last = `${key}: ${difference}`;
      });
      left = unequal;
      return left.length === 0 ? true : undefined;
    };
    await until("all owners to be equal", look, REPAIR_MS).catch(() => {
      this.#fault(`${name}: ${left.length} keys not equal after a minute: ${last}`);
    });
  }

  async #difference(key: string): Promise<string | null> {
    const asked = `${this.#cluster.node(0).url}/v1/cluster/explain/default/${key}`;
    const { owners } = jsonOf<Explained>(await ask(asked));
    const holds = owners.map(({ siblings, error }) =>
      siblings === null
        ? (error ?? "nothing")
        : siblings
            .map(({ dot }) => dot)
            .sort()
            .join(" "),
    );
    const isSound = owners.length === NODES && owners.every(({ error }) => error === undefined);
    return isSound && new Set(holds).size === 1 && holds[0] !== "" ? null : holds.join(" | ");
  }
}

async function main(): Promise<number> {
  const values = await readCommandLine({
    name: "npm run campaign:corrupt --",
    description:
      "Damage to the files of one of three replicas: no wrong answer, and all is repaired",
    options: {
      trials: { type: "count", default: 500, description: "Damages" },
      seed: { type: "count", default: 1, description: "Of what is damaged" },
      runtime: { type: "choice", of: RUNTIMES, default: "node", description: "Of the nodes" },
      totals: { type: "text", hint: "FILE", description: "Add the figures to those in FILE" },
    },
  });
  const say = (line: string): void => console.log(line);
  const figures = await corruptions({
    trials: values.trials,
    seed: values.seed,
    runtime: values.runtime,
    say,
    ...(values.totals !== undefined && { totals: values.totals }),
  });
  say(
    `${values.runtime}: ${figures.trials} corruptions of one of three replicas, ${figures.noticed} of them noticed, ` +
      `${figures.acknowledged} acknowledged writes, ${figures.answersRead} answers read, ${figures.faults.length} wrong or not repaired`,
  );
  say(`${figures.trials} passed, ${figures.faults.length} failed`);
  return figures.faults.length === 0 ? 0 : 1;
}

if (import.meta.main) process.exitCode = await main();
