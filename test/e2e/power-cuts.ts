/**
 * Power cuts in the middle of many writers. The nodes are killed, all at once, and of what they had written to their files and
 * not synced a part is taken back before they start again. With `durability=power` every acknowledged write must be there; with
 * `--durability process` the campaign shows what such a node loses.
 *
 *     npm run campaign:power -- [--cuts 200] [--nodes 1|3] [--durability power|process] [--seed N] [--totals FILE]
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { readCommandLine } from "../support/command-line.ts";
import { Totals } from "./campaign.ts";
import { buildShim, CUTS, type Cut, cutPower } from "./power-files.ts";
import { RegisterLoad } from "./register-load.ts";
import { ServeCluster } from "./serve-cluster.ts";

const ACKS_BEFORE_CUT_MAX = 500;
/** So many writes fill the log beyond the 8 MiB at which it is moved into the database. */
const ACKS_BEFORE_LATE_CUT_MAX = 5_000;

export interface PowerCutOptions {
  readonly cuts: number;
  readonly nodes: 1 | 3;
  readonly durability: "power" | "process";
  readonly seed: number;
  readonly say?: (line: string) => void;
  readonly totals?: string;
}

export interface PowerCutFigures {
  readonly cuts: number;
  /** Cuts after which something that had been acknowledged was not there. */
  readonly cutsWithLoss: number;
  readonly acknowledged: number;
  readonly missing: readonly string[];
  /** Writes to files that had not been synced, and how many of those were taken back. */
  readonly unsyncedWrites: number;
  readonly lostWrites: number;
}

const FIGURES = ["cuts", "cuts with loss", "acknowledged", "missing", "un-synced writes lost"];

/** @throws Error when the store answers what it must not, or there is no C compiler; what is missing is in the figures. */
export async function powerCuts(options: PowerCutOptions): Promise<PowerCutFigures> {
  const shims = mkdtempSync(join(tmpdir(), "gyre-power-"));
  const library = buildShim(shims);
  const cluster = new ServeCluster({
    nodes: options.nodes,
    regions: options.nodes === 1 ? ["eu"] : ["eu", "us", "ap"],
    // Only Node: Bun and Deno call the kernel for some of their files themselves.
    runtime: "node",
    flags: ["--durability", options.durability],
    environment: {
      LD_PRELOAD: library,
      GYRE_POWER_DATA: "{data}",
      GYRE_POWER_LOG: "{data}.unsynced",
    },
  });
  const totals = new Totals(options.totals, FIGURES);
  const load = new RegisterLoad({
    nodes: options.nodes,
    // Runs that are added up must not meet the same moments again.
    seed: options.seed + totals.of("cuts"),
    urlOf: (node) => cluster.node(node).url,
  });
  const campaign = new PowerCuts(options, cluster, load, totals);
  try {
    await cluster.start();
    return await campaign.run();
  } finally {
    await cluster.close();
    rmSync(shims, { recursive: true, force: true });
  }
}

class PowerCuts {
  readonly #options: PowerCutOptions;
  readonly #cluster: ServeCluster;
  readonly #load: RegisterLoad;
  readonly #totals: Totals;
  #unsynced = 0;
  #lost = 0;
  #withLoss = 0;
  #acknowledged = 0;

  constructor(options: PowerCutOptions, cluster: ServeCluster, load: RegisterLoad, totals: Totals) {
    this.#options = options;
    this.#cluster = cluster;
    this.#load = load;
    this.#totals = totals;
  }

  async run(): Promise<PowerCutFigures> {
    const { cuts } = this.#options;
    for (let round = 1; round <= cuts; round++) await this.#round(round);
    return {
      cuts,
      cutsWithLoss: this.#withLoss,
      acknowledged: this.#acknowledged,
      missing: this.#load.missing,
      unsyncedWrites: this.#unsynced,
      lostWrites: this.#lost,
    };
  }

  async #round(round: number): Promise<void> {
    const load = this.#load;
    const { say, durability } = this.#options;
    const cut = CUTS[load.below(CUTS.length)] as Cut;
    const missingBefore = load.missing.length;
    const acknowledgedBefore = load.acknowledged.length;
    const acksMax = round % 5 === 0 ? ACKS_BEFORE_LATE_CUT_MAX : ACKS_BEFORE_CUT_MAX;
    await load.writeUntil(round, 1 + load.below(acksMax), async () => {
      for (const node of this.#cluster.nodes) node.signal("SIGKILL");
      await Promise.all(this.#cluster.nodes.map((node) => node.ended));
    });
    const { unsynced, lost } = this.#takeBack(cut);
    await Promise.all(this.#cluster.nodes.map((_, index) => this.#cluster.restart(index)));
    await this.#cluster.untilAllUp();
    const acknowledged = load.acknowledged.length - acknowledgedBefore;
    // All that was ever acknowledged: a cut may also undo what an earlier one had spared.
    await load.verify(load.acknowledged);
    const missing = load.missing.length - missingBefore;
    this.#acknowledged += acknowledged;
    if (missing > 0) this.#withLoss++;
    if (durability === "process") load.forget();
    this.#totals.add("cuts");
    this.#totals.add("cuts with loss", missing > 0 ? 1 : 0);
    this.#totals.add("acknowledged", acknowledged);
    this.#totals.add("missing", missing);
    this.#totals.add("un-synced writes lost", lost);
    this.#totals.save();
    say?.(
      `cut ${round} (${cut}): ${acknowledged} writes acknowledged, ${lost} of ${unsynced} un-synced file writes lost, ${missing} missing`,
    );
  }

  #takeBack(cut: Cut): { readonly unsynced: number; readonly lost: number } {
    let unsynced = 0;
    let lost = 0;
    for (const index of this.#cluster.nodes.keys()) {
      const data = this.#cluster.dataOf(index);
      const taken = cutPower(data, `${data}.unsynced`, cut, (limit) => this.#load.below(limit));
      unsynced += taken.unsynced;
      lost += taken.lost;
    }
    this.#unsynced += unsynced;
    this.#lost += lost;
    return { unsynced, lost };
  }
}

async function main(): Promise<number> {
  const values = await readCommandLine({
    name: "npm run campaign:power --",
    description:
      "Power cuts: what was not synced is lost in part, and every acknowledged write must be there",
    options: {
      cuts: { type: "count", default: 200, description: "Power cuts" },
      nodes: {
        type: "choice",
        of: ["1", "3"],
        default: "1",
        description: "A single node, or one of three",
      },
      durability: {
        type: "choice",
        of: ["power", "process"],
        default: "power",
        description: "Of the nodes; process loses writes, which this shows",
      },
      seed: { type: "count", default: 1, description: "Of the moments, and of what is lost" },
      totals: { type: "text", hint: "FILE", description: "Add the figures to those in FILE" },
    },
  });
  const { durability } = values;
  const say = (line: string): void => console.log(line);
  const figures = await powerCuts({
    cuts: values.cuts,
    nodes: values.nodes === "3" ? 3 : 1,
    durability,
    seed: values.seed,
    say,
    ...(values.totals !== undefined && { totals: values.totals }),
  });
  const { cuts, cutsWithLoss, missing } = figures;
  for (const line of missing.slice(0, durability === "power" ? 20 : 3)) say(`MISSING ${line}`);
  say(
    `durability=${durability}, ${values.nodes} node(s): ${cuts} power cuts, ${figures.acknowledged} acknowledged writes, ` +
      `${figures.lostWrites} of ${figures.unsyncedWrites} un-synced file writes lost, ${missing.length} missing after ${cutsWithLoss} cuts`,
  );
  if (durability === "process") {
    say(
      "durability=process survives kill -9 and not a power cut: every answer of such a node says so",
    );
    say(`${cuts} passed, 0 failed`);
    return cutsWithLoss > 0 ? 0 : 1;
  }
  say(`${cuts - cutsWithLoss} passed, ${cutsWithLoss} failed`);
  return cutsWithLoss === 0 ? 0 : 1;
}

if (import.meta.main) process.exitCode = await main();
