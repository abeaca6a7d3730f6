/**
 * What a node does with the rows of a restored backup, its own or a removed node's. They lie apart, neither served nor merged,
 * until every other owner of the key has been heard since the restore; then each is dropped, merged or put in quarantine
 * (core/restored.ts). First all of them go to their shelf, some at a time; then the shelf is gone through, again and again
 * for as long as an owner is away.
 */
import { type MessageHandlers, PeerError } from "../cluster/peer-channel.ts";
import { readInt } from "../cluster/wire-read.ts";
import type { ActiveLayout } from "../core/active-layout.ts";
import { majorityOf } from "../core/consistency.ts";
import type { NodeId } from "../core/ids.ts";
import type { Key } from "../core/key.ts";
import {
  REQUEST_TIMEOUT_DEFAULT_MS,
  RESTORED_BYTES_AT_ONCE,
  RESTORED_KEYS_AT_ONCE,
} from "../core/limits.ts";
import { mergeRecords } from "../core/record.ts";
import { decideRestored, type OwnerHeard } from "../core/restored.ts";
import type { CausalRecord } from "../core/version.ts";
import type { PlaceCursor } from "../env/disk.ts";
import type { Worker } from "../env/worker.ts";
import type { AsideFound, AsideRecord } from "../storage/record-store.ts";
import { QUARANTINE_SHELF, RESTORED_SHELF } from "../storage/shelves.ts";
import type { Replication } from "./context.ts";
import { hintFor, writeHint } from "./hint-rows.ts";
import type { Horizons } from "./horizons.ts";
import { decodeHeard, decodeRestored, encodeHeard, encodeRestored } from "./restored-messages.ts";
import { routeOf } from "./route.ts";

const IDLE_MS = 1_000;
/** Between two looks at what others are still to be heard about. */
const RETRY_MS = 1_000;
const BETWEEN_STEPS_MS = 5;

export function restoredHandlers(r: Replication, horizons: Horizons): MessageHandlers {
  return {
    restored: (fields) => {
      const asked = readInt(fields, 0, "layoutVersion", 1, Number.MAX_SAFE_INTEGER);
      const layout = r.membership.layout();
      // Whoever has not looked at all of its own backup cannot say what it holds.
      if (layout?.version !== asked || r.store.isRestoring || r.mayBeCopy()) {
        throw new PeerError("refused", "not_ready", `Cannot speak for rows under layout ${asked}`);
      }
      const keys = decodeRestored(r.env.hasher, fields);
      return encodeHeard(keys.map((key) => ownWord(r, layout, horizons, key)));
    },
  };
}

/** Nothing that is said here is acted upon by a client, so it need not be durable: what is not may only be heard too early. */
function ownWord(r: Replication, layout: ActiveLayout, horizons: Horizons, key: Key): OwnerHeard {
  const route = routeOf(layout, key);
  const stored = r.replica.read(key);
  const isLost = stored.state === "unknown" || r.doubt.ofRow(key);
  if (isLost && !r.doubt.hasAskedAll(key)) {
    throw new PeerError("refused", "not_ready", "A row of these is in doubt here");
  }
  let restored: CausalRecord | null = null;
  for (const found of r.store.asides(key)) {
    if (found.shelf === RESTORED_SHELF && found.state === "record") restored = found.record;
  }
  return {
    record: stored.state === "record" && r.store.isDurable(stored.sequence) ? stored.record : null,
    restored,
    horizon: route === undefined ? 0 : horizons.of(route.policy, route.partition),
  };
}

export class RestoredWorker implements Worker {
  readonly name = "restored";
  readonly #r: Replication;
  #cursor: PlaceCursor | null = null;
  /** Sequences of rows that could not be read once. */
  readonly #unreadable = new Set<number>();

  constructor(r: Replication) {
    this.#r = r;
  }

  async step(): Promise<number> {
    const { store } = this.#r;
    if (store.isRestoring) {
      store.shelveRestored(RESTORED_KEYS_AT_ONCE);
      await store.whenDurable(store.lastSequence());
      return BETWEEN_STEPS_MS;
    }
    if (!store.asideUsage().has(RESTORED_SHELF)) return IDLE_MS;
    const layout = this.#r.membership.layout();
    if (layout?.member(this.#r.self) === undefined) return RETRY_MS;
    await this.#decide(layout, this.#next());
    return this.#cursor === null ? RETRY_MS : BETWEEN_STEPS_MS;
  }

  /** The next readable rows of the shelf. One after another: together they may be more than the memory. */
  #next(): AsideRecord[] {
    const readable: AsideRecord[] = [];
    let bytes = 0;
    for (let i = 0; i < RESTORED_KEYS_AT_ONCE && bytes < RESTORED_BYTES_AT_ONCE; i++) {
      const { rows, next } = this.#r.store.scanAside(RESTORED_SHELF, this.#cursor, 1);
      this.#cursor = next;
      if (next === null) break;
      for (const row of rows) {
        if (row.state !== "record") {
          this.#dropUnreadable(row);
          continue;
        }
        readable.push(row);
        for (const { valueBytes } of row.record.siblings) bytes += valueBytes;
      }
    }
    return readable;
  }

  /**
   * What is damaged at rest is damaged for good, but one look may be wrong: it goes at the second one. Kept, it would keep the
   * node in doubt for ever.
   */
  #dropUnreadable({ key, sequence }: AsideFound): void {
    if (!this.#unreadable.delete(sequence)) {
      this.#unreadable.add(sequence);
      return;
    }
    this.#r.env.logger.error("restored-row-unreadable", {
      namespace: key.namespace,
      advice: "the disk is damaged: if no other owner has the key, look for it in the backup",
    });
    this.#r.store.dropAside([{ shelf: RESTORED_SHELF, key, sequence }]);
  }

  async #decide(layout: ActiveLayout, rows: readonly AsideRecord[]): Promise<void> {
    const heard = await this.#ask(layout, rows);
    if (this.#r.membership.layout() !== layout) return;
    const settled: { readonly row: AsideRecord; readonly sequence: number }[] = [];
    for (const row of rows) {
      const route = routeOf(layout, row.key);
      const answers = heard.get(row.key.id);
      // A namespace that is gone wants nothing back.
      if (route === undefined) settled.push({ row, sequence: 0 });
      else if (
        answers !== undefined &&
        answers.length === othersOf(layout, row.key, this.#r.self).length
      ) {
        settled.push({ row, sequence: this.#settle(route.homes, row, answers) });
      }
    }
    // First it is durable where it belongs now, then it goes from the shelf: a crash between the two decides it once more.
    // On a full disk some may be written and others not: each goes by its own write.
    const { store } = this.#r;
    await store.whenDurable(
      settled.reduce((newest, { sequence }) => Math.max(newest, sequence), 0),
    );
    const going = settled.filter(({ sequence }) => store.isDurable(sequence));
    if (going.length > 0) store.dropAside(going.map(({ row }) => row));
  }

  /** What every other owner says, by key; none of a key of which one was not heard. */
  async #ask(
    layout: ActiveLayout,
    rows: readonly AsideRecord[],
  ): Promise<ReadonlyMap<string, OwnerHeard[]>> {
    const heard = new Map<string, OwnerHeard[]>();
    const byOwner = new Map<NodeId, Key[]>();
    for (const { key } of rows) {
      heard.set(key.id, []);
      for (const owner of othersOf(layout, key, this.#r.self)) {
        byOwner.set(owner, [...(byOwner.get(owner) ?? []), key]);
      }
    }
    await Promise.all(
      [...byOwner].map(async ([owner, keys]) => {
        const answers = await this.#askOwner(layout, owner, keys);
        for (const [i, answer] of answers.entries()) {
          heard.get((keys[i] as Key).id)?.push(answer);
        }
      }),
    );
    return heard;
  }

  async #askOwner(
    layout: ActiveLayout,
    owner: NodeId,
    keys: readonly Key[],
  ): Promise<readonly OwnerHeard[]> {
    try {
      const answer = await this.#r.channel.send(
        owner,
        "restored",
        encodeRestored(layout.version, keys),
        { timeoutMs: Math.min(REQUEST_TIMEOUT_DEFAULT_MS, this.#r.lifeMs / 2), lane: "direct" },
      );
      return decodeHeard(answer, keys.length);
    } catch (error) {
      if (error instanceof PeerError) return [];
      throw error;
    }
  }

  /** Writes what becomes of the row; returns the sequence that must be durable before it goes from its shelf. */
  #settle(
    homes: readonly NodeId[],
    { key, record: row }: AsideRecord,
    heard: readonly OwnerHeard[],
  ): number {
    const { store, replica, counters, env, self } = this.#r;
    const decided = decideRestored(row, heard);
    if (decided.fate === "drop") {
      counters.restoredDropped++;
      return 0;
    }
    if (decided.fate === "quarantine") {
      counters.quarantined++;
      env.logger.warn("restored-row-quarantined", { namespace: key.namespace, key: key.text });
      // With what is there from an earlier restore: nothing in quarantine is ever dropped.
      const before = store.asides(key).find(isQuarantined)?.record;
      const kept = before === undefined ? row : mergeRecords(before, row);
      return store.setAside(QUARANTINE_SHELF, key, kept, null, new Uint8Array(0));
    }
    counters.restoredMerged++;
    if (homes.includes(self)) return replica.merge(key, decided.record).sequence;
    // For the owners, like a hint that nobody has had yet: handoff keeps it until a majority holds it.
    const target = homes[0] as NodeId;
    const before = hintFor(store.asides(key), target);
    const record = before === null ? decided.record : mergeRecords(before.record, decided.record);
    const needed = majorityOf(homes.length);
    const nowMs = Math.floor(env.clock.wallMs());
    return writeHint(store, { key, target, record, minted: null, needed, before, nowMs });
  }
}

function isQuarantined(found: AsideFound): found is { readonly state: "record" } & AsideRecord {
  return found.state === "record" && found.shelf === QUARANTINE_SHELF;
}

function othersOf(layout: ActiveLayout, key: Key, self: NodeId): readonly NodeId[] {
  return routeOf(layout, key)?.homes.filter((home) => home !== self) ?? [];
}
