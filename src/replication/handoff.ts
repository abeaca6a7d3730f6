/**
 * Hinted handoff (DeCandia et al. 2007, section 4.6): brings what this node keeps for absent homes to them when they are back,
 * and to other owners before. A hint is custody and delivery duty: its row is dropped when the target has it *and* as many
 * owners as its put asked for hold what it holds. Delivery alone may be given up, over age or over the budget, to
 * anti-entropy; custody never (expiring hints were the only copies of writes made while all owners were cut off).
 *
 * Nothing but the rows themselves is remembered across a restart: who holds what is asked again.
 */
import type { ActiveLayout } from "../core/active-layout.ts";
import type { NodeId } from "../core/ids.ts";
import { HANDOFF_REMEMBERED_MAX } from "../core/limits.ts";
import type { AsideUsage, PlaceCursor } from "../env/disk.ts";
import type { Worker } from "../env/worker.ts";
import type { AsideFound, AsideRecord } from "../storage/record-store.ts";
import type { Replication } from "./context.ts";
import { paceMs, rowsAtOnce } from "./handoff-pace.ts";
import { type Delivery, deliverHint } from "./handoff-row.ts";
import { decodeHintNote } from "./hint-note.ts";
import { hintTarget, isRottenName } from "./hint-rows.ts";

/** How long a look at what there is to do waits for the next one. */
const IDLE_MS = 250;
/** While nothing is kept aside: what is put there wakes. */
const REST_MS = 2_000;
/** After somebody who was thought to be there did not answer, and before hints that could not go are tried again. */
const RETRY_MS = 1_000;
/** Between two looks at all the hints of an absent home, and at least so many times as long as one of them takes. */
const PASS_PAUSE_MS = 10_000;
const PASS_PAUSE_SHARE = 10;
/** What may stay of the budget once it was used up, so that new hints are taken for a while. */
const RELIEVED_SHARE = 0.75;

/** One pass after another over the hints for one node. */
interface Shelf {
  readonly target: NodeId;
  cursor: PlaceCursor | null;
  passBeganMs: number;
  /** Nothing is to be done before. */
  dueMs: number;
  wasThere: boolean;
  /** A whole pass has gone by since its node came back: it has been brought everything once. */
  wasServed: boolean;
  /** How many times as long as a pass the pause after the next one lasts in which nothing happens. */
  pauseShare: number;
  /** Something happened in this pass that makes the next one worth beginning soon. */
  hasMoved: boolean;
  /** Hints whose custody has ended, by key: their sequence then. They wait for their target alone. */
  readonly ended: Map<string, number>;
  /** Rows that could not be read in the pass before. */
  unreadable: Set<number>;
}

interface Verdict {
  readonly hint: AsideRecord;
  readonly delivery: Delivery;
}

export function handoffWorker(r: Replication, isStopping: () => boolean = () => false): Worker {
  const handoff = new Handoff(r, isStopping);
  return {
    name: "handoff",
    step: () => handoff.step(),
    wakeBy: (wake) => {
      r.store.watchAsides(() => {
        if (handoff.isResting) wake();
      });
    },
  };
}

class Handoff {
  readonly #r: Replication;
  readonly #isStopping: () => boolean;
  readonly #shelves = new Map<string, Shelf>();
  /** Names of shelves that are damaged, and were told of. */
  readonly #rotten = new Set<string>();
  /** Members that were there at the last look. */
  #there: ReadonlySet<NodeId> = new Set();
  /** The budget was used up and there is not yet room enough again. */
  #overBudget = false;
  /** Nothing was kept aside at the last look. */
  isResting = false;

  constructor(r: Replication, isStopping: () => boolean) {
    this.#r = r;
    this.#isStopping = isStopping;
  }

  /** A bounded part of one shelf. */
  async step(): Promise<number> {
    const layout = this.#r.membership.layout();
    if (layout === undefined || this.#r.membership.refusesWrites()) return RETRY_MS;
    if (this.#r.mayBeCopy()) return IDLE_MS;
    this.#judgeBudget();
    this.#noteReturns(layout);
    const beganMs = this.#r.env.clock.monotonicMs();
    const due = this.#nextDue(beganMs);
    this.isResting = due === null && this.#r.store.asideUsage().size === 0;
    if (due === null) return this.isResting ? REST_MS : IDLE_MS;
    const [name, usage, shelf] = due;
    // Should this step fail, the other shelves are not to wait behind this one.
    shelf.dueMs = beganMs + RETRY_MS;
    if (shelf.cursor === null) {
      shelf.passBeganMs = beganMs;
      shelf.hasMoved = false;
    }
    const limit = rowsAtOnce(usage);
    const { rows, next } = this.#r.store.scanAside(name, shelf.cursor, limit);
    shelf.cursor = next;
    const hints = rows.filter((row) => row.state === "record");
    this.#dropUnreadable(name, shelf, rows);
    const verdicts = await this.#deliver(layout, shelf, hints);
    if (this.#isStopping()) return IDLE_MS;
    this.#drop(layout, name, shelf, verdicts);
    const nowMs = this.#r.env.clock.monotonicMs();
    this.#schedule(shelf, verdicts, nowMs);
    return Math.max(1, paceMs(hints) - (nowMs - beganMs));
  }

  /** Who comes back may be an owner whom hints wait for that their targets have already. */
  #noteReturns(layout: ActiveLayout): void {
    const before = this.#there;
    const members = layout.document.members.map((member) => member.id);
    this.#there = new Set(members.filter((id) => this.#r.membership.liveness(id) === "up"));
    if ([...this.#there].every((id) => before.has(id))) return;
    for (const shelf of this.#shelves.values()) {
      shelf.pauseShare = 1;
      if (shelf.wasThere) shelf.dueMs = 0;
    }
  }

  /** The shelf that has waited longest of those that have something to do. */
  #nextDue(nowMs: number): readonly [string, AsideUsage, Shelf] | null {
    let found: readonly [string, AsideUsage, Shelf] | null = null;
    const usages = this.#r.store.asideUsage();
    for (const [name, usage] of usages) {
      const target = hintTarget(name);
      if (target === null) {
        this.#noteRotten(name);
        continue;
      }
      const shelf = this.#shelfOf(name, target);
      const isThere = this.#isThere(target);
      // Who comes back is served at once, from the first of its hints on.
      if (isThere && !shelf.wasThere) {
        shelf.cursor = null;
        shelf.dueMs = 0;
        shelf.wasServed = false;
      }
      shelf.wasThere = isThere;
      if (shelf.dueMs <= nowMs && (found === null || shelf.dueMs < found[2].dueMs)) {
        found = [name, usage, shelf];
      }
    }
    for (const name of this.#shelves.keys()) if (!usages.has(name)) this.#shelves.delete(name);
    return found;
  }

  #noteRotten(name: string): void {
    if (!isRottenName(name) || this.#rotten.has(name)) return;
    this.#rotten.add(name);
    this.#r.env.logger.error("hint-shelf-rotten", {
      shelf: name,
      advice: "the disk is damaged: other copies of these hints are with the put's other nodes",
    });
  }

  #shelfOf(name: string, target: NodeId): Shelf {
    let shelf = this.#shelves.get(name);
    if (shelf === undefined) {
      shelf = {
        target,
        cursor: null,
        passBeganMs: 0,
        dueMs: 0,
        wasThere: false,
        wasServed: false,
        pauseShare: 1,
        hasMoved: false,
        ended: new Map(),
        unreadable: new Set(),
      };
      this.#shelves.set(name, shelf);
    }
    return shelf;
  }

  /** Hints of a node that has left are for the owners that there are now. */
  #isThere(target: NodeId): boolean {
    const layout = this.#r.membership.layout();
    if (layout?.member(target) === undefined) return true;
    return this.#r.membership.liveness(target) === "up";
  }

  async #deliver(
    layout: ActiveLayout,
    shelf: Shelf,
    hints: readonly AsideRecord[],
  ): Promise<Verdict[]> {
    const waiting = hints.filter((hint) => !this.#onlyWaits(shelf, hint));
    return Promise.all(
      waiting.map(async (hint) => {
        const delivery = await deliverHint(this.#r, layout, hint, shelf);
        return { hint, delivery };
      }),
    );
  }

  /** Its custody has ended, its target is away, and there is no reason yet to give it up. */
  #onlyWaits(shelf: Shelf, hint: AsideRecord): boolean {
    if (shelf.wasThere || this.#isToGo(hint)) return false;
    return shelf.ended.get(hint.key.id) === hint.sequence;
  }

  /** Over age or over the budget: its delivery may be left to anti-entropy. */
  #isToGo(hint: AsideRecord): boolean {
    if (this.#overBudget) return true;
    const { sinceMs } = decodeHintNote(hint.note);
    return this.#r.env.clock.wallMs() - sinceMs >= this.#r.hints.ageMs;
  }

  /** Only rows that are as they were when they were read: what was merged into one since is not covered by any answer. */
  #drop(layout: ActiveLayout, name: string, shelf: Shelf, verdicts: readonly Verdict[]): void {
    if (this.#r.membership.layout() !== layout) {
      // Who the owners are was asked of another one: ask again.
      shelf.hasMoved = true;
      return;
    }
    const going: Verdict[] = [];
    for (const verdict of verdicts) {
      const { hint, delivery } = verdict;
      if (!delivery.custodyEnded) continue;
      if (shelf.ended.get(hint.key.id) !== hint.sequence) this.#r.counters.custodiesEnded++;
      if (delivery.delivered || this.#isToGo(hint)) going.push(verdict);
      else this.#remember(shelf, hint);
    }
    if (going.length === 0) return;
    const { counters, store } = this.#r;
    const dropped = store.dropAside(
      going.map(({ hint }) => ({ shelf: name, key: hint.key, sequence: hint.sequence })),
    );
    for (const [i, { hint, delivery }] of going.entries()) {
      shelf.ended.delete(hint.key.id);
      shelf.hasMoved = true;
      if (dropped[i] !== true) continue;
      if (delivery.rerouted) counters.hintsRerouted++;
      else if (delivery.delivered) counters.hintsDelivered++;
      else counters.hintsDegraded++;
    }
  }

  #remember(shelf: Shelf, { key, sequence }: AsideRecord): void {
    if (shelf.ended.size >= HANDOFF_REMEMBERED_MAX) shelf.ended.clear();
    shelf.ended.set(key.id, sequence);
  }

  /** What is damaged at rest is damaged for good, but one look may be wrong: it goes when a second pass finds it so. */
  #dropUnreadable(name: string, shelf: Shelf, rows: readonly AsideFound[]): void {
    const going: { shelf: string; key: AsideFound["key"]; sequence: number }[] = [];
    for (const row of rows) {
      if (row.state === "record") continue;
      if (shelf.unreadable.delete(row.sequence)) {
        going.push({ shelf: name, key: row.key, sequence: row.sequence });
      } else shelf.unreadable.add(row.sequence);
    }
    if (going.length === 0) return;
    this.#r.counters.hintsUnreadable += going.length;
    this.#r.env.logger.error("hints-unreadable", {
      target: shelf.target,
      rows: going.length,
      advice:
        "rows on this disk are damaged: a copy is lost, others are with the put's other nodes",
    });
    this.#r.store.dropAside(going);
  }

  #judgeBudget(): void {
    const { hints, env } = this.#r;
    const { bytes, count } = hints.usage();
    if (bytes <= hints.bytesMax * RELIEVED_SHARE) this.#overBudget = false;
    else if (bytes >= hints.bytesMax && !this.#overBudget) {
      this.#overBudget = true;
      env.logger.warn("hints-over-budget", { count, bytes, bytesMax: hints.bytesMax });
    }
  }

  #schedule(shelf: Shelf, verdicts: readonly Verdict[], nowMs: number): void {
    const passMs = nowMs - shelf.passBeganMs;
    const failed = verdicts.some(({ delivery }) => delivery.failed);
    shelf.hasMoved ||= failed;
    if (shelf.cursor === null) shelf.wasServed = shelf.wasThere;
    if (shelf.cursor !== null) shelf.dueMs = nowMs + (failed ? RETRY_MS : 0);
    else if (shelf.hasMoved || this.#overBudget) {
      shelf.dueMs = nowMs + RETRY_MS;
      shelf.pauseShare = 1;
    } else if (shelf.wasThere) {
      // What is left waits for other owners, who are asked less and less often.
      shelf.dueMs = nowMs + shelf.pauseShare * Math.max(RETRY_MS, passMs);
      shelf.pauseShare = Math.min(PASS_PAUSE_SHARE, 2 * shelf.pauseShare);
    } else shelf.dueMs = nowMs + Math.max(PASS_PAUSE_MS, PASS_PAUSE_SHARE * passMs);
  }
}
