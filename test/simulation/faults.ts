/** The safety phase's adversary: kills, cuts, damages and delays as the seed says and the atlas allows. */
import { utf8Encode } from "../../src/core/bytes.ts";
import type { KeyState } from "./ledger.ts";
import type { SeededRandom } from "./seeded-random.ts";
import { NAMESPACE, type SimNode } from "./sim-node.ts";
import type { World } from "./world.ts";

/** An armed process that never reaches its point is killed anyway, this much later. */
const ARMED_FOR_MS = 300;

export class Faults {
  readonly #world: World;
  readonly #random: SeededRandom;
  #over = false;

  constructor(world: World) {
    this.#world = world;
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
      const beforeCommit = this.#random.chance(0.6);
      node.process?.arm(beforeCommit ? "before-commit" : "after-send", this.#random.integer(1, 4));
      this.#later(ARMED_FOR_MS, () => this.#down(node));
    } else {
      this.#down(node);
    }
    // It stays down from the crash on, whenever that comes.
    this.#later(ARMED_FOR_MS + this.#downForMs(), () => this.#up(node));
    this.#restartSoonAfterArmed(node);
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
    const key = this.#random.pick([...ledger.keys.values()]);
    const index = this.#random.pick(key.homes);
    if (!atlas.mayForgetRow(index, key)) {
      this.#world.count("damage withheld");
      return;
    }
    this.#rot(index, key);
  }

  /** The row in the cache stays good: a process finds the damage out when it reads the disk, at the latest after a restart. */
  #rot(index: number, key: KeyState): void {
    const node = this.#world.node(index);
    if (!node.disk.forget(NAMESPACE, utf8Encode(key.name))) return;
    this.#world.count("row made unreadable");
    this.#trace(`rot ${index} ${key.name}`);
    this.#world.atlas.forgotRow(index, key);
    if (this.#random.chance(0.5)) {
      this.#down(node);
      this.#later(this.#random.between(1, 50), () => this.#up(node));
    }
  }

  #loseDatabase(): void {
    const node = this.#random.pick(this.#world.nodes);
    if (!this.#world.atlas.mayLoseDatabase(node.index)) {
      this.#world.count("damage withheld");
      return;
    }
    this.#down(node);
    this.#world.count("database lost");
    this.#trace(`lose ${node.index}`);
    node.disk.lose();
    node.forgotten = true;
    this.#world.atlas.lostDatabase(node.index);
    this.#later(this.#downForMs(), () => this.#up(node));
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
