/** A get: a quorum read, the conflict policy, the values that are still missing, and read repair behind the answer. */
import { type ConflictPolicy, resolve } from "../core/conflict.ts";
import type { Requirement } from "../core/consistency.ts";
import type { NodeId } from "../core/ids.ts";
import type { Key } from "../core/key.ts";
import type { AckCounts } from "../core/quorum.ts";
import { mergeRecords } from "../core/record.ts";
import type { CausalRecord, Sibling } from "../core/version.ts";
import type { Replication } from "./context.ts";
import type { ReadAnswer } from "./data-messages.ts";
import { fetchWhole } from "./fetch-whole.ts";
import { type Plan, planOf } from "./plan.ts";
import { ReadRepair } from "./read-repair.ts";
import { mergeAnswers, ReadRound, type ReadRoundResult } from "./read-round.ts";
import type { Failure, GetOutcome, GetRequest } from "./requests.ts";
import type { Route } from "./route.ts";

/** One get in so many asks every home, so that replicas that no quorum would ask are repaired too. */
const ASK_ALL_ONE_IN = 16;
/** How often a read is sent again under a newer layout before it is given up. */
const LAYOUT_ROUNDS_MAX = 3;

export class Reader {
  readonly #r: Replication;
  readonly #repair: ReadRepair;

  constructor(r: Replication) {
    this.#r = r;
    this.#repair = new ReadRepair(r);
  }

  async get(request: GetRequest): Promise<GetOutcome> {
    const beganMs = this.#r.env.clock.monotonicMs();
    const deadlineMs = beganMs + request.timeoutMs;
    for (let round = 0; round < LAYOUT_ROUNDS_MAX; round++) {
      const plan = planOf(this.#r, request);
      if ("status" in plan) return plan;
      const result = await this.#ask(request, plan, deadlineMs);
      if (result.outcome === "stale-layout") continue;
      const isFirst = request.session !== null && result.outcome === "won";
      if (isFirst) {
        await this.#repairFirst(request.key, plan.route, result.answers, beganMs, deadlineMs);
      }
      if (!isFirst || !result.isSettled)
        this.#repairBehind(request.key, plan.route, result, beganMs);
      if (result.outcome === "lost") return this.#notReached(plan.requirement, result);
      if (result.outcome === "behind") return this.#sessionNotReached(result);
      return this.#answer(request, plan.route, result, deadlineMs);
    }
    this.#r.counters.getsWithoutQuorum++;
    return {
      status: "quorum-not-reached",
      acks: { primary: 0, fallback: 0, of: 0 },
      needed: 1,
      indeterminate: false,
    };
  }

  /** Resolves when the repairs that are running now have ended: for tests and a clean stop. */
  idle(): Promise<void> {
    return this.#repair.idle();
  }

  #ask(request: GetRequest, plan: Plan, deadlineMs: number): Promise<ReadRoundResult> {
    const minimum = request.session === null ? null : request.session.minimum;
    const round = new ReadRound(this.#r, plan, request.key, deadlineMs, minimum);
    return round.run(this.#r.env.random.below(ASK_ALL_ONE_IN) === 0 ? "all" : "enough");
  }

  #notReached(requirement: Requirement, result: ReadRoundResult): Failure {
    this.#r.counters.getsWithoutQuorum++;
    return {
      status: "quorum-not-reached",
      acks: result.tally.counts(),
      needed: requirement.needed,
      indeterminate: false,
    };
  }

  /** Only stand-ins have spoken, and what they have is deleted or expired; what the homes have is not known: not a 404. */
  #noHome(acks: AckCounts): Failure {
    this.#r.counters.getsWithoutQuorum++;
    return { status: "quorum-not-reached", acks, needed: 1, indeterminate: false };
  }

  #sessionNotReached(result: ReadRoundResult): Failure {
    this.#r.counters.sessionsNotReached++;
    return { status: "session-not-reached", acks: result.tally.counts() };
  }

  async #answer(
    request: GetRequest,
    route: Route,
    result: ReadRoundResult,
    deadlineMs: number,
  ): Promise<GetOutcome> {
    const acks = result.tally.counts();
    let record = mergeAnswers(result.answers);
    if (record === null) {
      return { status: "ok", record, chosen: [], liveSiblings: 0, deletedSiblings: 0, acks };
    }
    const nowMs = this.#r.clock.nowForExpiryMs();
    let resolved = this.#resolve(record, result.answers, route, request.conflict, nowMs);
    if (resolved.chosen.some(lacksValue)) {
      // Answers that come late are in no merge, so they have no vote: one that covers a sibling would seem to lack it.
      const answers = new Map(result.answers);
      record = await fetchValues(this.#r, route, request.key, record, answers, deadlineMs);
      resolved = this.#resolve(record, answers, route, request.conflict, nowMs);
      if (resolved.chosen.some(lacksValue)) {
        return {
          status: "quorum-not-reached",
          acks,
          needed: acks.primary + 1,
          indeterminate: false,
        };
      }
    }
    if (acks.primary === 0 && resolved.chosen.length === 0) return this.#noHome(acks);
    return {
      status: "ok",
      record,
      chosen: resolved.chosen,
      liveSiblings: resolved.live,
      deletedSiblings: resolved.deletedOrExpired,
      acks,
    };
  }

  #resolve(
    record: CausalRecord,
    heard: ReadonlyMap<NodeId, ReadAnswer>,
    route: Route,
    policy: ConflictPolicy,
    nowMs: number,
  ): ReturnType<typeof resolve> {
    const answers: (CausalRecord | null)[] = [];
    if (policy === "majority" && record.siblings.length > 1) {
      // A stand-in speaks for nobody's slot: what an absent home holds besides its hint is not known.
      for (const [node, answer] of heard) {
        if (answer.counts && route.homes.includes(node)) answers.push(answer.record);
      }
    }
    return resolve({ record, answers, homes: route.homes.length, policy, nowMs });
  }

  /**
   * What a session is shown is first brought to the replicas that have answered, so that its next read finds it at any
   * such quorum, and does not hang on the one replica that held it. The guarantee itself rests on the minimum, so a
   * replica that is slow to take the repair is not waited for beyond patience.
   */
  async #repairFirst(
    key: Key,
    route: Route,
    heard: ReadonlyMap<NodeId, ReadAnswer>,
    beganMs: number,
    deadlineMs: number,
  ): Promise<void> {
    if (agree(heard)) return;
    // Answers that come late are left to the repair in the background.
    const answers = new Map(heard);
    const repaired = this.#repair.after(Promise.resolve(), () =>
      this.#repair.run(key, route, answers, beganMs),
    );
    let patienceMs = 0;
    for (const node of answers.keys()) patienceMs = Math.max(patienceMs, this.#r.patienceMs(node));
    // A slow link's patience may be longer than the client's.
    patienceMs = Math.min(patienceMs, deadlineMs - this.#r.env.clock.monotonicMs());
    await new Promise<void>((resolve) => {
      const patience = this.#r.env.clock.after(patienceMs, resolve);
      void repaired.then(() => {
        patience.cancel();
        resolve();
      });
    });
  }

  /** Starts only when every home that was asked has spoken, so that late answers are repaired as well. */
  #repairBehind(key: Key, route: Route, result: ReadRoundResult, beganMs: number): void {
    if (result.isSettled && agree(result.answers)) return;
    void this.#repair.after(result.settled, () =>
      this.#repair.run(key, route, result.answers, beganMs),
    );
  }
}

/** All answers hold one and the same record: a replica that holds what the asker holds answers with the asker's own. */
function agree(answers: ReadonlyMap<NodeId, ReadAnswer>): boolean {
  let first: CausalRecord | null | undefined;
  for (const { record } of answers.values()) {
    if (first === undefined) first = record;
    else if (record !== first) return false;
  }
  return true;
}

function lacksValue(sibling: Sibling): boolean {
  return sibling.value === null;
}

/** Asks the nodes whose records hold what is missing, one after another, until every live value is there. */
async function fetchValues(
  r: Replication,
  route: Route,
  key: Key,
  record: CausalRecord,
  answers: ReadonlyMap<NodeId, ReadAnswer>,
  deadlineMs: number,
): Promise<CausalRecord> {
  let whole = record;
  const holders: NodeId[] = [];
  for (const [node, answer] of answers) if (answer.record !== null) holders.push(node);
  for (const node of holders) {
    if (!whole.siblings.some(lacksValue)) break;
    const held = answers.get(node)?.record;
    if (held === null || held === undefined || !held.siblings.some(lacksValue)) continue;
    const fetched = await fetchWhole(r, route, key, node, deadlineMs);
    if (fetched !== null) whole = mergeRecords(whole, fetched);
  }
  return whole;
}
