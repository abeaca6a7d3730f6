/** The safety phase's adversary: kills, cuts, damages and delays as the seed says and the atlas allows. */
import type { Workload } from "../workload/workload.ts";
import type { World } from "../world.ts";
import { absences } from "./absence.ts";
import { cutPower, fillDisk, forgetRow, loseDatabase } from "./disk-faults.ts";
import { FaultKit } from "./fault-kit.ts";
import { flap, partition, slowNode } from "./network-faults.ts";
import { crash, jumpClock, stall } from "./process-faults.ts";
import { loseNewest, restoreBackup, rollBack, takeBackup } from "./restore-faults.ts";

/** So many backups are taken for each that is put back: else there is seldom one of the node that is struck. */
const BACKUPS_EACH = 12;

export class Faults {
  readonly #kit: FaultKit;

  constructor(world: World, workload: Workload) {
    this.#kit = new FaultKit(world, workload);
  }

  /** Faults of each kind at random moments, from now until `stop`. */
  start(): void {
    const kit = this.#kit;
    const { faults } = kit.world.options;
    kit.repeat(faults.crashMs, () => crash(kit));
    kit.repeat(faults.partitionMs, () => partition(kit));
    kit.repeat(faults.flapMs, () => flap(kit));
    kit.repeat(faults.slowNodeMs, () => slowNode(kit));
    kit.repeat(faults.forgetRowMs, () => forgetRow(kit));
    kit.repeat(faults.loseDatabaseMs, () => loseDatabase(kit));
    const restores = Math.max(faults.restoreMs, faults.loseNewestMs, faults.rollBackMs);
    kit.repeat(restores / BACKUPS_EACH, () => takeBackup(kit));
    kit.repeat(faults.restoreMs, () => restoreBackup(kit));
    kit.repeat(faults.loseNewestMs, () => loseNewest(kit));
    kit.repeat(faults.rollBackMs, () => rollBack(kit));
    kit.repeat(faults.powerCutMs, () => cutPower(kit));
    kit.repeat(faults.diskFullMs, () => fillDisk(kit));
    kit.repeat(faults.stallMs, () => stall(kit));
    kit.repeat(faults.clockJumpMs, () => jumpClock(kit));
    absences(kit);
  }

  /** No more faults, and the marks of those that were are taken away: all nodes run, the network is clean. */
  stop(): void {
    const { world } = this.#kit;
    const { network, nodes, ledger } = world;
    this.#kit.end();
    network.heal();
    // Nothing scrubs rows yet: damage under a good copy in the cache is found only by a process that must read the disk.
    for (const place of ledger.rotten) {
      this.#kit.down(world.node(Number.parseInt(place, 10)));
    }
    for (const one of nodes) {
      one.disk.fullCommits = 0;
      one.disk.full = false;
      one.process?.disarm();
      // Somebody sets the clocks right, more or less.
      one.jump(-one.jumpedMs);
      if (!one.alive) world.boot(one.index);
    }
  }
}
