/** Ends doubt: merges whole scans of the other owners, one peer and one page at a time. */

import { PeerError } from "../cluster/peer-channel.ts";
import type { ActiveLayout } from "../core/active-layout.ts";
import { keyAfter, utf8Decode } from "../core/bytes.ts";
import { actorIdToHex, type NamespaceId, type NodeId } from "../core/ids.ts";
import { type Key, makeKey } from "../core/key.ts";
import { LIST_LIMIT_MAX, REQUEST_TIMEOUT_DEFAULT_MS } from "../core/limits.ts";
import { EMPTY_RECORD, mergeRecords } from "../core/record.ts";
import { decodeHead } from "../core/record-codec.ts";
import type { Worker } from "../env/worker.ts";
import { ActorsInUse } from "./actors-in-use.ts";
import type { Replication } from "./context.ts";
import {
  decodeReadAnswer,
  decodeScanAnswer,
  encodeRead,
  encodeScan,
  type ReadAnswer,
  type ScanAnswer,
  type ScanRow,
} from "./data-messages.ts";
import { fetchWhole } from "./fetch-whole.ts";
import { introduce } from "./introduction.ts";
import { routeOf } from "./route.ts";
import type { UnitSet } from "./unit-set.ts";

const IDLE_MS = 1_000;
const AFTER_FAILURE_MS = 500;
const FETCHES_AT_ONCE = 16;
/** Single rows that one step asks for. */
const ROWS_AT_ONCE = 16;

/** A step may take as long as whole scans of all peers do: once `isStopping` says so it ends at the next answer. */
export function recoveryWorker(r: Replication, isStopping: () => boolean = () => false): Worker {
  let firstRow = 0;
  const greetings = new Greetings(r);
  const members = new ActorsInUse(r);
  return {
    name: "recovery",
    step: async () => {
      const layout = r.membership.layout();
      if (layout?.member(r.self) === undefined) return AFTER_FAILURE_MS;
      if (!r.doubt.any && !r.doubt.anyRow) {
        // Whoever was set back learns from the others that they know it under a higher generation: until it goes above that,
        // nothing that it acknowledges counts with them.
        await members.meet(layout);
        return IDLE_MS;
      }
      greetings.renew();
      const { rows } = r.doubt;
      // Other ones each time: the owners of some may be away for long.
      if (firstRow >= rows.length) firstRow = 0;
      for (const { key, lossNumber } of rows.slice(firstRow, firstRow + ROWS_AT_ONCE)) {
        if (isStopping()) return IDLE_MS;
        await recoverRow(r, layout, greetings, key, lossNumber);
      }
      firstRow += ROWS_AT_ONCE;
      if (!r.doubt.any) return IDLE_MS;
      r.doubt.endIfPossible(layout);
      for (const peer of r.doubt.any ? r.doubt.unheard(layout) : []) {
        await hearPeer(r, layout, greetings, peer, isStopping);
        if (isStopping() || !r.doubt.any) break;
      }
      if (r.doubt.any) return AFTER_FAILURE_MS;
      r.counters.doubtsEnded++;
      return IDLE_MS;
    },
  };
}

/**
 * Before a peer is asked for what was lost it must know that this database is not what it was: else an ack from before the
 * loss could still be counted beside the peer's (introduction.ts).
 */
class Greetings {
  readonly #r: Replication;
  /** Under which of the own generations each peer knows this node. */
  readonly #met = new Map<NodeId, number>();
  /** The losses that the own generation accounts for. At the start that is none: rows may have been lost before it. */
  #losses = -1;

  constructor(r: Replication) {
    this.#r = r;
  }

  /** Takes a new generation when something was lost since the last one. @throws DiskFullError */
  renew(): void {
    const { losses } = this.#r.doubt;
    if (losses === this.#losses) return;
    this.#r.actors.raise();
    this.#losses = losses;
  }

  /** The units that the peer is in doubt of; null when it does not know this node's present generation. */
  async greet(layout: ActiveLayout, peer: NodeId): Promise<UnitSet | null> {
    const { generation } = this.#r.actors.own;
    const inDoubt = await introduce(this.#r, layout, peer);
    if (inDoubt !== null) this.#met.set(peer, generation);
    return this.hasMet(peer) ? inDoubt : null;
  }

  hasMet(peer: NodeId): boolean {
    return this.#met.get(peer) === this.#r.actors.own.generation;
  }
}

async function hearPeer(
  r: Replication,
  layout: ActiveLayout,
  greetings: Greetings,
  peer: NodeId,
  isStopping: () => boolean,
): Promise<void> {
  const inDoubt = await greetings.greet(layout, peer);
  if (inDoubt === null || !(await mergePeer(r, layout, peer, inDoubt, isStopping))) return;
  // A generation that a third node has made this one raise meanwhile is news to the peer.
  if (r.membership.layout() !== layout || !greetings.hasMet(peer)) return;
  r.env.logger.info("doubt-heard", {
    peer,
    state: inDoubt.isEmpty ? "trusted" : "in-doubt",
    actor: actorIdToHex(r.store.actorId),
  });
  r.doubt.heard(layout, peer, inDoubt);
}

/** Asks all other owners of one row, merges what they hold, and ends its doubt if enough of them could be trusted. */
async function recoverRow(
  r: Replication,
  layout: ActiveLayout,
  greetings: Greetings,
  key: Key,
  lossNumber: number,
): Promise<void> {
  const route = routeOf(layout, key);
  if (route === undefined || !route.homes.includes(r.self)) {
    r.doubt.forgetRow(key);
    return;
  }
  const others = route.homes.filter((home) => home !== r.self);
  const answers = await Promise.all(
    others.map(async (node) => {
      if (!greetings.hasMet(node) && (await greetings.greet(layout, node)) === null) return null;
      return readWhole(r, layout, key, node);
    }),
  );
  let answered = 0;
  let heard = 0;
  let trusted = 0;
  for (const answer of answers) {
    if (answer === null) continue;
    answered++;
    // Nobody gives up waiting for rows that an owner has, and will show when it knows that it may.
    if (answer.holdsApart !== true) heard++;
    if (answer.counts) trusted++;
    if (answer.record === null) continue;
    await r.store.whenDurable(r.replica.merge(key, answer.record).sequence);
  }
  if (r.membership.layout() !== layout) return;
  const over = r.doubt.heardRow(key, lossNumber, others.length, { answered, heard, trusted });
  if (over !== "goes-on") r.counters.rowsRecovered++;
  // A sole owner's row is the last copy: a page that cannot be read today may be readable tomorrow.
  if (over !== "trusted" || others.length === 0) return;
  // Nobody whose word counts has it: what could not be read had never been acknowledged.
  if (r.replica.read(key).state === "unknown") r.store.discard(key);
}

async function readWhole(
  r: Replication,
  layout: ActiveLayout,
  key: Key,
  node: NodeId,
): Promise<ReadAnswer | null> {
  const fields = encodeRead(layout.version, key, Number.MAX_SAFE_INTEGER);
  try {
    const answer = await r.channel.send(node, "read", fields, {
      timeoutMs: REQUEST_TIMEOUT_DEFAULT_MS,
      lane: "batch",
    });
    return decodeReadAnswer(r.env.hasher, answer);
  } catch (error) {
    if (error instanceof PeerError) return null;
    throw error;
  }
}

/** False when the peer did not give all its rows, or there was no time for them. */
async function mergePeer(
  r: Replication,
  layout: ActiveLayout,
  peer: NodeId,
  inDoubt: UnitSet,
  isStopping: () => boolean,
): Promise<boolean> {
  for (const namespace of layout.document.namespaces) {
    let start: Uint8Array = new Uint8Array(0);
    for (;;) {
      const page = await scanPage(r, layout, peer, namespace.id, start);
      // A peer that was sure of everything when it was greeted has lost its database since.
      if (page === null || (page.inDoubt && inDoubt.isEmpty)) return false;
      // It shows the rest when it has asked the other owners: only then it is heard.
      if (page.holdsApart) return false;
      for (let i = 0; i < page.rows.length; i += FETCHES_AT_ONCE) {
        if (isStopping()) return false;
        const rows = page.rows.slice(i, i + FETCHES_AT_ONCE);
        const merged = await Promise.all(
          rows.map((row) => mergeRow(r, layout, peer, namespace.id, row)),
        );
        if (merged.includes(false)) return false;
      }
      const last = page.rows.at(-1);
      if (!page.more || last === undefined) break;
      start = keyAfter(last.key);
    }
  }
  return true;
}

async function scanPage(
  r: Replication,
  layout: ActiveLayout,
  peer: NodeId,
  namespace: NamespaceId,
  start: Uint8Array,
): Promise<ScanAnswer | null> {
  const message = {
    layoutVersion: layout.version,
    namespace,
    start,
    end: null,
    reverse: false,
    limit: LIST_LIMIT_MAX,
  };
  try {
    const answer = await r.channel.send(peer, "scan", encodeScan(message), {
      timeoutMs: REQUEST_TIMEOUT_DEFAULT_MS,
      lane: "direct",
    });
    return decodeScanAnswer(answer, LIST_LIMIT_MAX);
  } catch (error) {
    if (error instanceof PeerError) return null;
    throw error;
  }
}

/** False when the row is wanted here but could not be had. */
async function mergeRow(
  r: Replication,
  layout: ActiveLayout,
  peer: NodeId,
  namespace: NamespaceId,
  row: ScanRow,
): Promise<boolean> {
  const key = makeKey(r.env.hasher, namespace, utf8Decode(row.key));
  const route = routeOf(layout, key);
  if (route === undefined || !route.homes.includes(r.self)) return true;
  // The peer itself does not know this row: another owner must be heard instead.
  if (row.head === null) return false;
  const stored = r.replica.read(key);
  const local = stored.state === "record" ? stored.record : EMPTY_RECORD;
  if (mergeRecords(local, decodeHead(row.head)) === local) return true;
  const deadlineMs = r.env.clock.monotonicMs() + REQUEST_TIMEOUT_DEFAULT_MS;
  const record = await fetchWhole(r, route, key, peer, deadlineMs);
  if (record === null) return false;
  await r.store.whenDurable(r.replica.merge(key, record).sequence);
  return true;
}
