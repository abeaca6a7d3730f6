/** What every kind of fault needs: the world, chance of its own, and the way to kill a node and to bring it back. */
import { type SeededRandom, streamOf } from "../seeded-random.ts";
import type { SimNode } from "../sim-node.ts";
import { CRASH_POINTS } from "../sim-process.ts";
import type { Workload } from "../workload/workload.ts";
import type { World } from "../world.ts";

export class FaultKit {
  readonly world: World;
  readonly random: SeededRandom;
  /** Another stream, for what must not change what the first one does. */
  readonly other: SeededRandom;
  readonly workload: Workload;
  #over = false;

  constructor(world: World, workload: Workload) {
    this.world = world;
    this.workload = workload;
    this.random = world.fork();
    this.other = streamOf(world.options.seed, "further faults");
  }

  get over(): boolean {
    return this.#over;
  }

  /** From now on nothing that was planned happens any more. */
  end(): void {
    this.#over = true;
  }

  later(delayMs: number, act: () => void): void {
    this.world.clock.after(delayMs, () => {
      if (!this.#over) act();
    });
  }

  /** At random moments, about every `meanMs`, until the end; never when that is 0. */
  repeat(meanMs: number, act: () => void): void {
    if (meanMs === 0) return;
    const next = (): void => {
      this.later(this.random.between(0, 2 * meanMs), () => {
        act();
        next();
      });
    };
    next();
  }

  trace(text: string): void {
    this.world.trace.add(this.world.nowMs, text);
  }

  down(node: SimNode): void {
    node.process?.disarm();
    this.world.crash(node.index);
  }

  up(node: SimNode): void {
    if (node.alive) return;
    this.world.count("restart");
    const diesAgain = this.random.chance(this.world.options.faults.crashAtStart);
    this.world.boot(node.index, diesAgain ? this.random.below(4) : null);
    if (!node.alive) this.world.count("crash during start");
    if (diesAgain && node.alive) {
      this.world.count("crash soon after start");
      node.process?.arm(this.random.pick(CRASH_POINTS), this.random.integer(1, 6));
    }
    if (diesAgain) this.later(this.random.between(1, 2 * this.downForMs()), () => this.up(node));
  }

  downForMs(): number {
    return this.random.between(0, 2 * this.world.options.faults.downForMs);
  }
}
