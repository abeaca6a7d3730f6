/** A put at its coordinator: decide, mint and write in one step, wait for the commit, then the other homes. */
import { LogLimiter } from "../cluster/log-limiter.ts";
import { etagOf } from "../core/etag.ts";
import type { NodeId } from "../core/ids.ts";
import { SIBLINGS_WARN } from "../core/limits.ts";
import type { AckCounts } from "../core/quorum.ts";
import { EMPTY_RECORD, liveSiblings, newestStamp } from "../core/record.ts";
import { firstHomeFor, mayStandIn } from "../core/stand-ins.ts";
import type { CausalRecord } from "../core/version.ts";
import { DiskFullError } from "../env/disk.ts";
import type { Replication } from "./context.ts";
import { FanOut } from "./fan-out.ts";
import { type Plan, planOf } from "./plan.ts";
import { isRepeat, preconditionHolds, presentEtag, readConsistency } from "./precondition.ts";
import type { Reader } from "./reader.ts";
import type { CoordinatedOutcome } from "./replica.ts";
import type { Failure, PutDone, PutOutcome, PutRequest } from "./requests.ts";
import type { Route } from "./route.ts";

const LAYOUT_ROUNDS_MAX = 3;

const ALONE: AckCounts = { primary: 1, fallback: 0, of: 1 };

type Written = Extract<CoordinatedOutcome, { status: "written" }>;

export class PutPath {
  readonly #r: Replication;
  readonly #reader: Reader;
  readonly #warnings: LogLimiter;

  constructor(r: Replication, reader: Reader) {
    this.#r = r;
    this.#reader = reader;
    this.#warnings = new LogLimiter(r.env.clock);
  }

  /** REQUIRES: this node is a home of the key under the layout it holds, or may stand in for one and is asked to. */
  async coordinate(request: PutRequest, asStandIn = false): Promise<PutOutcome> {
    const deadlineMs = this.#r.env.clock.monotonicMs() + request.timeoutMs;
    let plan = this.#plan(request);
    if ("status" in plan) return plan;
    let seen = request;
    if (request.ifMatch !== null || request.ifNoneMatch !== null) {
      const checked = await this.#check(request, plan.route);
      if ("status" in checked) return checked;
      seen = checked;
      // The await may have let a new layout in: what this node may coordinate is decided once more, without one.
      plan = this.#plan(request);
      if ("status" in plan) return plan;
    }
    const standsFor = this.#standsFor(plan, asStandIn);
    if (standsFor === undefined) return { status: "not-formed" };
    if (standsFor !== null && this.#r.hints.isFull) return { status: "overloaded" };
    const written = this.#write(seen, plan, standsFor);
    if (written.status !== "written") return written;
    if (written.record.siblings.length >= SIBLINGS_WARN) this.#warn(request, written.record);
    try {
      if (!this.#r.store.isDurable(written.sequence)) {
        await this.#r.store.whenDurable(written.sequence);
      }
    } catch (error) {
      if (error instanceof DiskFullError) return this.#diskFull();
      throw error;
    }
    // Without one more asynchronous function where there is nobody to send to.
    if (this.#isAlone(plan.route)) return this.#done(request, written, ALONE);
    return this.#spread(request, plan, written, standsFor, deadlineMs);
  }

  #isAlone({ homes }: Route): boolean {
    return homes.length === 1 && homes[0] === this.#r.self;
  }

  /** Null for a home; for another node the home it keeps the record for; undefined when it may do neither. */
  #standsFor({ route, sloppy }: Plan, asStandIn: boolean): NodeId | null | undefined {
    if (route.homes.includes(this.#r.self)) return null;
    const may = sloppy && asStandIn;
    return (may ? firstHomeFor(route.layout, route, this.#r.self) : null) ?? undefined;
  }

  #plan(request: PutRequest): Plan | Failure {
    if (this.#r.membership.refusesWrites()) return { status: "not-formed" };
    return planOf(this.#r, request);
  }

  async #check(request: PutRequest, route: Route): Promise<PutRequest | Failure> {
    const found = await this.#reader.get({
      ...request,
      consistency: readConsistency(request.consistency, route.homes.length),
    });
    if (found.status !== "ok") return found;
    const etag = presentEtag(this.#r.env.hasher, found);
    // A repeat meets what its first attempt has changed, and is answered as that was.
    if (!isRepeat(request, found) && !preconditionHolds(request, found, etag)) {
      return { status: "precondition-failed", etag };
    }
    if (request.context !== null) return request;
    // Nothing was there, and only that has been seen: a blind put would replace what came to be since.
    const record = found.record ?? EMPTY_RECORD;
    return {
      ...request,
      context: { entries: record.context, newestStamp: newestStamp(record) },
    };
  }

  #write(request: PutRequest, plan: Plan, standsFor: NodeId | null): CoordinatedOutcome | Failure {
    if (standsFor !== null) this.#r.counters.standInCoordinations++;
    const put = {
      key: request.key,
      deleted: request.deleted,
      value: request.value,
      contentType: request.contentType,
      metadata: request.metadata,
      expiresAtMs: request.expiresAtMs,
      context: request.context,
      session: request.session,
      writeQuorum: plan.requirement.needed,
      sloppy: plan.sloppy,
      idempotencyKey: request.idempotencyKey,
      bodyDigest: request.bodyDigest,
    };
    try {
      return this.#r.replica.coordinate(put, standsFor);
    } catch (error) {
      if (error instanceof DiskFullError) return this.#diskFull();
      throw error;
    }
  }

  #diskFull(): Failure {
    this.#r.counters.diskFull++;
    return { status: "disk-full" };
  }

  #warn(request: PutRequest, record: CausalRecord): void {
    const { name } = request.namespace;
    if (!this.#warnings.allow(name)) return;
    const { hash } = request.key;
    this.#r.env.logger.warn("many-siblings", {
      namespace: name,
      keyHash: hash.hi.toString(16).padStart(8, "0") + hash.lo.toString(16).padStart(8, "0"),
      siblings: record.siblings.length,
      advice:
        "get the key with conflict=siblings and put the merged value with that answer's context",
    });
  }

  async #spread(
    request: PutRequest,
    first: Plan,
    written: Written,
    keptFor: NodeId | null,
    deadlineMs: number,
  ): Promise<PutOutcome> {
    let plan = first;
    let standsFor = keptFor;
    const { length } = plan.route.homes;
    let acks: AckCounts = {
      primary: Number(standsFor === null),
      fallback: Number(standsFor !== null),
      of: length,
    };
    for (let round = 0; round < LAYOUT_ROUNDS_MAX; round++) {
      if (this.#isAlone(plan.route) && standsFor === null) {
        return this.#done(request, written, acks);
      }
      const fanOut = new FanOut(this.#r, plan, request.key, written, deadlineMs);
      const result = await fanOut.run(standsFor);
      acks = result.acks;
      if (result.outcome === "won") return this.#done(request, written, acks);
      if (result.outcome === "lost") break;
      // Nothing collected under the older layout counts: the same record goes out again under the newer one.
      const again = this.#plan(request);
      if ("status" in again) break;
      plan = again;
      if (keptFor !== null) standsFor = await this.#standAgain(request, plan, written, keptFor);
    }
    this.#r.counters.putsIndeterminate++;
    return {
      status: "quorum-not-reached",
      acks,
      needed: plan.requirement.needed,
      indeterminate: true,
    };
  }

  /** Under another layout a stand-in may have become a home, or stand for somebody who is none any more. */
  async #standAgain(
    request: PutRequest,
    { route }: Plan,
    written: Written,
    keptFor: NodeId,
  ): Promise<NodeId | null> {
    if (!route.homes.includes(this.#r.self)) {
      return mayStandIn(route.layout, route, this.#r.self, keptFor) ? keptFor : null;
    }
    const { store, replica } = this.#r;
    await store.whenDurable(replica.merge(request.key, written.record).sequence);
    return null;
  }

  #done(request: PutRequest, written: Written, acks: AckCounts): PutDone {
    const { record, sibling } = written;
    // A plain vector cannot say "mine but not yours": a context is given only when there is nothing but mine.
    const alone = record.siblings.length === 1;
    return {
      status: "ok",
      dot: sibling.dot,
      stamp: sibling.stamp,
      context: alone ? { entries: record.context, newestStamp: newestStamp(record) } : null,
      liveSiblings: alone
        ? Number(!request.deleted)
        : liveSiblings(record, this.#r.clock.nowForExpiryMs()).length,
      acks,
      etag: request.deleted
        ? ""
        : etagOf(this.#r.env.hasher, {
            kind: "value",
            dots: [sibling.dot],
            contentType: sibling.contentType,
            expiresAtMs: sibling.expiresAtMs,
          }),
    };
  }
}
