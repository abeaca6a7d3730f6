/**
 * Listing: a majority of the owners of every unit give their next rows in byte order, tombstones included; the rows are
 * merged key by key and go through the conflict policy (design: "Listing"). Too few owners is an error, never a short page.
 */

import type { ActiveLayout } from "../core/active-layout.ts";
import { compareBytes, keyAfter, utf8Decode } from "../core/bytes.ts";
import { resolve } from "../core/conflict.ts";
import { makeKey, partitionOf } from "../core/key.ts";
import { LIST_LIMIT_MAX } from "../core/limits.ts";
import { mergeRecords } from "../core/record.ts";
import { decodeHead } from "../core/record-codec.ts";
import { demandOf, reaches, type SessionDemand } from "../core/session.ts";
import type { CausalRecord } from "../core/version.ts";
import type { Replication } from "./context.ts";
import { type Gathered, gatherScans } from "./gather-scans.ts";
import type { GetOutcome, GetRequest, ListedKey, ListOutcome, ListRequest } from "./requests.ts";

/** Rounds of scans behind one page: a range full of tombstones ends in a short page with `complete: false`. */
const ROUNDS_MAX = 8;

type Get = (request: GetRequest) => Promise<GetOutcome>;

export async function listKeys(
  r: Replication,
  request: ListRequest,
  get: Get,
): Promise<ListOutcome> {
  const deadlineMs = r.env.clock.monotonicMs() + request.timeoutMs;
  const layout = r.membership.layout();
  if (layout === undefined || !layout.document.formed) return { status: "not-formed" };
  if (layout.namespaceById(request.namespace.id) === undefined) {
    return { status: "namespace-not-found" };
  }
  const keys: ListedKey[] = [];
  let { start, end } = request;
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const limit = Math.min(LIST_LIMIT_MAX, request.limit - keys.length);
    const gathered = await gatherScans(r, layout, {
      layoutVersion: layout.version,
      namespace: request.namespace.id,
      policy: request.namespace.policy,
      start,
      end,
      reverse: request.reverse,
      limit,
      deadlineMs,
    });
    if (gathered.status !== "ok") return gathered;
    const page = new Page(r, layout, request, gathered, deadlineMs, get);
    const failure = await page.fill(keys, request.limit);
    if (failure !== null) return failure;
    if (page.exhausted) return { status: "ok", keys, complete: true, lastKey: null };
    const { lastKey } = page;
    if (lastKey === null) break;
    if (keys.length >= request.limit || round === ROUNDS_MAX - 1) {
      return { status: "ok", keys, complete: false, lastKey };
    }
    if (request.reverse) end = lastKey;
    else start = keyAfter(lastKey);
  }
  return { status: "ok", keys, complete: true, lastKey: null };
}

/** One round's rows, merged in key order. */
class Page {
  /** The last key that was looked at, whether listed or not. */
  lastKey: Uint8Array | null = null;
  /** All rows were looked at and no node has more. */
  exhausted = false;
  readonly #r: Replication;
  readonly #layout: ActiveLayout;
  readonly #request: ListRequest;
  readonly #gathered: Extract<Gathered, { status: "ok" }>;
  readonly #deadlineMs: number;
  readonly #get: Get;

  constructor(
    r: Replication,
    layout: ActiveLayout,
    request: ListRequest,
    gathered: Extract<Gathered, { status: "ok" }>,
    deadlineMs: number,
    get: Get,
  ) {
    this.#r = r;
    this.#layout = layout;
    this.#request = request;
    this.#gathered = gathered;
    this.#deadlineMs = deadlineMs;
    this.#get = get;
  }

  /** Appends to `keys` up to `limit` of them. Returns a failure, or null. */
  async fill(
    keys: ListedKey[],
    limit: number,
  ): Promise<Exclude<ListOutcome, { status: "ok" }> | null> {
    const direction = this.#request.reverse ? -1 : 1;
    const positions = this.#gathered.scans.map(() => 0);
    for (;;) {
      if (keys.length >= limit) return null;
      const next = this.#nextKey(positions, direction);
      if (next === "blocked") return null;
      if (next === null) {
        this.exhausted = this.#gathered.scans.every((scan) => !scan.more);
        return null;
      }
      const failure = await this.#take(next, positions, keys);
      if (failure !== null) return failure;
      this.lastKey = next;
    }
  }

  /**
   * The smallest key not yet looked at. "blocked" when a node that has more rows has shown all it gave: a key of its next
   * rows could come before the others' next one.
   */
  #nextKey(positions: readonly number[], direction: number): Uint8Array | "blocked" | null {
    let next: Uint8Array | null = null;
    for (let i = 0; i < positions.length; i++) {
      const scan = this.#gathered.scans[i];
      const row = scan?.rows[positions[i] ?? 0];
      if (row === undefined) {
        if (scan?.more === true) return "blocked";
        continue;
      }
      if (next === null || compareBytes(row.key, next) * direction < 0) next = row.key;
    }
    return next;
  }

  /** Takes the key's row from every scan that shows it and lists the key if the policy says it lives. */
  async #take(
    keyBytes: Uint8Array,
    positions: number[],
    keys: ListedKey[],
  ): Promise<Exclude<ListOutcome, { status: "ok" }> | null> {
    const { namespace, conflict, session } = this.#request;
    const key = makeKey(this.#r.env.hasher, namespace.id, utf8Decode(keyBytes));
    const homes = this.#layout.homes(
      namespace.policy,
      partitionOf(key.hash, this.#layout.partitions),
    );
    const answers: (CausalRecord | null)[] = [];
    let merged: CausalRecord | null = null;
    let trusted = true;
    for (let i = 0; i < positions.length; i++) {
      const scan = this.#gathered.scans[i];
      if (scan === undefined) continue;
      const row = scan.rows[positions[i] ?? 0];
      const shows = row !== undefined && compareBytes(row.key, keyBytes) === 0;
      if (shows) positions[i] = (positions[i] ?? 0) + 1;
      if (!homes.includes(scan.node)) continue;
      if (!shows) {
        answers.push(null);
      } else if (row.head === null) {
        trusted = false;
      } else {
        const record = decodeHead(row.head);
        answers.push(record);
        merged = merged === null ? record : mergeRecords(merged, record);
      }
    }
    const nowMs = this.#r.clock.nowForExpiryMs();
    const demand = session === null ? null : demandOf(session, key.hash);
    const minimum = demand?.minimum ?? null;
    if (!trusted || (minimum !== null && !reaches(merged, minimum, nowMs))) {
      return this.#askAlone(key.text, demand, keys);
    }
    if (merged === null) return null;
    const { chosen } = resolve({
      record: merged,
      answers,
      homes: homes.length,
      policy: conflict,
      nowMs,
    });
    pushListed(keys, key.text, chosen);
    return null;
  }

  /**
   * A row that cannot be trusted, or that is older than what the session has seen, must not decide whether a key is
   * listed: the key gets a quorum read of its own. Of owners alone: a stand-in's hint may be older than what a majority has
   * acknowledged.
   */
  async #askAlone(
    text: string,
    session: SessionDemand | null,
    keys: ListedKey[],
  ): Promise<Exclude<ListOutcome, { status: "ok" }> | null> {
    const { namespace, conflict } = this.#request;
    const outcome = await this.#get({
      key: makeKey(this.#r.env.hasher, namespace.id, text),
      namespace,
      consistency: { level: "quorum" },
      sloppy: false,
      conflict,
      timeoutMs: Math.max(1, this.#deadlineMs - this.#r.env.clock.monotonicMs()),
      session,
    });
    if (outcome.status !== "ok") return outcome;
    pushListed(keys, text, outcome.chosen);
    return null;
  }
}

function pushListed(keys: ListedKey[], name: string, chosen: CausalRecord["siblings"]): void {
  let newest = chosen[0];
  for (const sibling of chosen) {
    if (newest === undefined || sibling.stamp > newest.stamp) newest = sibling;
  }
  if (newest === undefined) return;
  keys.push({
    name,
    expiresAtMs: newest.expiresAtMs,
    metadata: newest.metadata,
    valueBytes: newest.valueBytes,
  });
}
