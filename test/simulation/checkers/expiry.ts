/** A value with a time to live is shown until that ends, and from then on to nobody. */
import type { Op } from "../history.ts";
import { isDoubled, type KeyState } from "../key-state.ts";
import { isSurelyLive, isSurelyOver } from "../lifetimes.ts";
import type { World } from "../world.ts";
import type { ReadAnswer } from "./answers.ts";

/** REQUIRES: called when the read has ended. */
export function judgeExpiry(world: World, op: Op, key: KeyState, answer: ReadAnswer): void {
  for (const id of answer.values) judgeShown(world, op, key, id);
  if (answer.context === null) return;
  const live = new Set<number>();
  for (const mint of world.ledger.maximal(key, answer.context)) {
    const put = world.ledger.op(mint.op);
    const isLive = put.kind === "put" && isSurelyLive(world.options, put, op.endMs);
    if (isLive && !isDoubled(key, put.id)) live.add(put.id);
  }
  if (live.size <= answer.live) return;
  world.violate(
    "expiry",
    `get ${op.id} of ${key.name} counts ${answer.live} live siblings; not ended are ops ${[...live].join(" ")}`,
  );
}

/** Of one write that a read or a list has shown. */
export function judgeShown(world: World, op: Op, key: KeyState, id: number): void {
  const put = world.ledger.ops[id];
  if (put === undefined || !isSurelyOver(world.options, put, op.startMs)) return;
  if (isDoubled(key, id)) return;
  world.violate(
    "expiry",
    `${op.kind} ${op.id} of ${key.name} shows op ${id}, acknowledged at ${put.endMs} for ${put.ttlMs} ms`,
  );
}
