/** A put at its coordinator: decide, mint and write in one step, wait for the commit, then the other homes. */
import { LogLimiter } from "../cluster/log-limiter.ts";
import { etagOf } from "../core/etag.ts";
import { SIBLINGS_WARN } from "../core/limits.ts";
import type { AckCounts } from "../core/quorum.ts";
import { EMPTY_RECORD, liveSiblings, newestStamp } from "../core/record.ts";
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

  /** REQUIRES: this node is a home of the key under the layout it holds. */
  async coordinate(request: PutRequest): Promise<PutOutcome> {
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
      if (!plan.route.homes.includes(this.#r.self)) return { status: "not-formed" };
    }
    const written = this.#write(seen, plan.requirement.needed);
    if (written.status !== "written") return written;
    if (written.record.siblings.length >= SIBLINGS_WARN) this.#warn(request, written.record);
    try {
      if (!this.#r.store.isDurable(written.sequence)) {
        await this.#r.store.whenDurable(written.sequence);
      }
    } catch (error) {
      if (error instanceof DiskFullError) return { status: "disk-full" };
      throw error;
    }
    return this.#spread(request, plan, written, deadlineMs);
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

  #write(request: PutRequest, writeQuorum: number): CoordinatedOutcome | Failure {
    try {
      return this.#r.replica.coordinate({
        key: request.key,
        deleted: request.deleted,
        value: request.value,
        contentType: request.contentType,
        metadata: request.metadata,
        expiresAtMs: request.expiresAtMs,
        context: request.context,
        session: request.session,
        writeQuorum,
        sloppy: request.sloppy,
        idempotencyKey: request.idempotencyKey,
        bodyDigest: request.bodyDigest,
      });
    } catch (error) {
      if (error instanceof DiskFullError) return { status: "disk-full" };
      throw error;
    }
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
    plan: Plan,
    written: Written,
    deadlineMs: number,
  ): Promise<PutOutcome> {
    let { route, requirement } = plan;
    let acks: AckCounts = { primary: 1, fallback: 0, of: route.homes.length };
    for (let round = 0; round < LAYOUT_ROUNDS_MAX; round++) {
      if (route.homes.length === 1 && route.homes[0] === this.#r.self) {
        return this.#done(request, written, acks);
      }
      const result = await new FanOut(this.#r, route, requirement, deadlineMs).run(
        request.key,
        written.record,
      );
      acks = result.acks;
      if (result.outcome === "won") return this.#done(request, written, acks);
      if (result.outcome === "lost") break;
      // Nothing collected under the older layout counts: the same record goes out again under the newer one.
      const again = this.#plan(request);
      if ("status" in again) break;
      ({ route, requirement } = again);
    }
    this.#r.counters.putsIndeterminate++;
    return {
      status: "quorum-not-reached",
      acks,
      needed: requirement.needed,
      indeterminate: true,
    };
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
