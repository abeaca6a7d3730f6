/** The safety phase's adversary: kills, cuts, damages and delays as the seed says and the atlas allows. */
import { utf8Encode } from "../../src/core/bytes.ts";
import type { KeyState } from "./ledger.ts";
import type { SeededRandom } from "./seeded-random.ts";
import { NAMESPACE, type SimNode } from "./sim-node.ts";
import type { Workload } from "./workload.ts";
import type { World } from "./world.ts";

const CRASH_POINTS = ["before-commit-of-dot", "before-commit-of-row", "after-send"] as const;

interface Copy {
  readonly node: number;
  readonly key: KeyState;
}

/** An armed process that never reaches its point is killed anyway, this much later. */
const ARMED_FOR_MS = 300;

export class Faults {
  readonly #world: World;
  readonly #random: SeededRandom;
  readonly #workload: Workload;
  #over = false;

  constructor(world: World, workload: Workload) {
    this.#world = world;
    this.#workload = workload;
    this.#random = world.fork();
  }

  /** Faults of each kind at random moments, from now until `stop`. */
  start(): void {
    const { faults } = this.#world.options;
    this.#repeat(faults.crashMs, () => this.#crash());
    this.#repeat(faults.partitionMs, () => this.#partition());
    this.#repeat(faults.forgetRowMs, () => this.#forgetRow());
    this.#repeat(faults.loseDatabaseMs, () => this.#loseDatabase());
    this.#repeat(faults.diskFullMs, () => this.#fillDisk());
    this.#repeat(faults.stallMs, () => this.#stall());
  }

  /** No more faults, and the marks of those that were are taken away: all nodes run, the network is clean. */
  stop(): void {
    this.#over = true;
    const { network, nodes, ledger } = this.#world;
    network.heal();
    // Nothing scrubs rows yet: damage under a good copy in the cache is found only by a process that must read the disk.
    for (const place of ledger.rotten) this.#down(this.#world.node(Number.parseInt(place, 10)));
    for (const node of nodes) {
      node.disk.fullCommits = 0;
      node.process?.disarm();
      if (!node.alive) this.#world.boot(node.index);
    }
  }

  #repeat(meanMs: number, act: () => void): void {
    if (meanMs === 0) return;
    const next = (): void => {
      this.#world.clock.after(this.#random.between(0, 2 * meanMs), () => {
        if (this.#over) return;
        act();
        next();
      });
    };
    next();
  }

  #crash(): void {
    const node = this.#random.pick(this.#world.nodes);
    if (!node.alive) return;
    this.#world.count("crash");
    if (this.#random.chance(this.#world.options.faults.crashMidTurn)) {
      const point = this.#random.pick(CRASH_POINTS);
      node.process?.arm(point, this.#random.integer(1, 4));
      this.#later(ARMED_FOR_MS, () => this.#down(node));
    } else {
      this.#down(node);
    }
    // It stays down from the crash on, whenever that comes.
    this.#later(ARMED_FOR_MS + this.#downForMs(), () => this.#up(node));
    this.#restartSoonAfterArmed(node);
    this.#workload.probe(this.#world.atlas.keysAt(node.index), ARMED_FOR_MS * 2);
  }

  /** A process manager that restarts at once: the node is back while what it had sent is still under way. */
  #restartSoonAfterArmed(node: SimNode): void {
    if (!this.#random.chance(0.5)) return;
    for (let ms = 5; ms < ARMED_FOR_MS; ms += 15) this.#later(ms, () => this.#up(node));
  }

  #down(node: SimNode): void {
    node.process?.disarm();
    this.#world.crash(node.index);
  }

  #up(node: SimNode): void {
    if (node.alive) return;
    this.#world.count("restart");
    this.#world.boot(node.index);
  }

  #downForMs(): number {
    return this.#random.between(0, 2 * this.#world.options.faults.downForMs);
  }

  /** One node alone, a region, or a random half; both ways or one way. */
  #partition(): void {
    const { nodes, network, options } = this.#world;
    this.#world.count("partition");
    const region = this.#random.below(options.regions);
    const lone = this.#random.below(nodes.length);
    const sides = [
      () => nodes.filter((node) => node.index === lone),
      () => nodes.filter((node) => node.region === region),
      () => nodes.filter(() => this.#random.chance(0.5)),
    ];
    const side = this.#random.pick(sides)();
    const oneWay = this.#random.chance(0.4);
    const cuts: [number, number][] = [];
    for (const a of side) {
      for (const b of nodes) {
        if (side.includes(b)) continue;
        cuts.push([a.index, b.index]);
        if (!oneWay) cuts.push([b.index, a.index]);
      }
    }
    this.#trace(`partition ${cuts.map((cut) => cut.join(">")).join(" ")}`);
    for (const [from, to] of cuts) network.cut(from, to);
    this.#later(this.#random.between(0.2, 2) * options.faults.partitionForMs, () => {
      for (const [from, to] of cuts) network.mend(from, to);
    });
  }

  #forgetRow(): void {
    const { ledger, atlas } = this.#world;
    const copies: Copy[] = [...ledger.keys.values()].flatMap((key) =>
      key.homes.map((node) => ({ node, key })),
    );
    const copy = this.#worst(
      copies.filter(({ node, key }) => atlas.mayForgetRow(node, key)),
      ({ node, key }) => atlas.hurts(node, key),
    );
    if (copy === null) this.#world.count("damage withheld");
    else this.#rot(copy.node, copy.key);
  }

  /** Mostly one that hurts, if there is one: damage that others make good at once shows nothing. */
  #worst<T>(choices: readonly T[], hurts: (choice: T) => boolean): T | null {
    if (choices.length === 0) return null;
    const worst = this.#random.chance(0.8) ? choices.filter(hurts) : [];
    return this.#random.pick(worst.length > 0 ? worst : choices);
  }

  /** The row in the cache stays good: a process finds the damage out when it reads the disk, at the latest after a restart. */
  #rot(index: number, key: KeyState): void {
    const node = this.#world.node(index);
    if (!node.disk.forget(NAMESPACE, utf8Encode(key.name), this.#random.below(1_000))) return;
    this.#world.count("row made unreadable");
    this.#trace(`rot ${index} ${key.name}`);
    this.#world.atlas.forgotRow(index, key);
    if (this.#random.chance(0.5)) {
      this.#down(node);
      this.#later(this.#random.between(1, 50), () => this.#up(node));
    }
    this.#workload.probe([key], this.#random.between(10, 500));
  }

  #loseDatabase(): void {
    const { atlas, nodes } = this.#world;
    const node = this.#worst(
      nodes.filter((one) => atlas.mayLoseDatabase(one.index)),
      (one) => atlas.keysAt(one.index).some((key) => atlas.hurts(one.index, key)),
    );
    if (node === null) {
      this.#world.count("damage withheld");
      return;
    }
    this.#down(node);
    this.#world.count("database lost");
    this.#trace(`lose ${node.index}`);
    node.disk.lose();
    node.forgotten = true;
    this.#world.atlas.lostDatabase(node.index);
    const downForMs = this.#downForMs();
    this.#later(downForMs, () => this.#up(node));
    // It takes part again once it has found the layout.
    for (const afterMs of [300, 900, 1_500, 2_500]) {
      this.#later(downForMs + afterMs, () => {
        this.#workload.probe(this.#world.atlas.keysAt(node.index), 400);
      });
    }
  }

  #fillDisk(): void {
    const node = this.#random.pick(this.#world.nodes);
    this.#world.count("disk full");
    this.#trace(`full ${node.index}`);
    node.disk.fullCommits += this.#random.integer(1, 4);
  }

  #stall(): void {
    const node = this.#random.pick(this.#world.nodes);
    if (!node.alive) return;
    this.#world.count("stall");
    const forMs = this.#random.integer(300, 3_000);
    this.#trace(`stall ${node.index} ${forMs}`);
    node.process?.stall(forMs);
  }

  #later(delayMs: number, act: () => void): void {
    this.#world.clock.after(delayMs, () => {
      if (!this.#over) act();
    });
  }

  #trace(text: string): void {
    this.#world.trace.add(this.#world.nowMs, text);
  }
}
