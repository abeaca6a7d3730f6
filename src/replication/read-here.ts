/**
 * The get of a key whose only home is this node: nothing is sent and nothing waited for, so there is no round, no tally and
 * no promise. Such a get costs half of what the same answer costs through ReadRound and Reader, and is the same answer.
 */
import { resolve } from "../core/conflict.ts";
import type { CausalRecord, Sibling } from "../core/version.ts";
import type { Replication } from "./context.ts";
import { asidesWithHints } from "./hint-rows.ts";
import { planOf } from "./plan.ts";
import type { GetFound, GetRequest } from "./requests.ts";

/** Null when there is more to it: other homes, a session, doubt, records kept aside, a row that is not durable yet. */
export function readHere(r: Replication, request: GetRequest): GetFound | null {
  if (request.session !== null || r.mayBeCopy()) return null;
  const plan = planOf(r, request);
  if ("status" in plan) return null;
  const { homes } = plan.route;
  if (homes.length !== 1 || homes[0] !== r.self) return null;
  const stored = r.replica.read(request.key);
  if (stored.state === "unknown" || !r.store.isDurable(stored.sequence)) return null;
  if (
    r.doubt.any ||
    r.doubt.ofRow(request.key) ||
    asidesWithHints(r.store, request.key).length > 0
  ) {
    return null;
  }
  const acks = { primary: 1, fallback: 0, of: 1 };
  if (stored.state !== "record") {
    const nothing = { record: null, chosen: [], liveSiblings: 0, deletedSiblings: 0 };
    return { status: "ok", ...nothing, acks };
  }
  const { record } = stored;
  const answers: readonly CausalRecord[] = [record];
  const nowMs = record.siblings.some(expires) ? r.clock.nowForExpiryMs() : 0;
  const resolved = resolve({ record, answers, homes: 1, policy: request.conflict, nowMs });
  return {
    status: "ok",
    record,
    chosen: resolved.chosen,
    liveSiblings: resolved.live,
    deletedSiblings: resolved.deletedOrExpired,
    acks,
  };
}

function expires(sibling: Sibling): boolean {
  return sibling.expiresAtMs !== 0;
}
