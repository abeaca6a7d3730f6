/**
 * No acknowledged write lost, none back from the dead, none twice (reliability.md 2.1; Riak's kv679_eqc derives its expected
 * siblings in the same way). REQUIRES: a converged world.
 */
import { decodeRecord } from "../../../src/core/record-codec.ts";
import { isDoubled, type KeyState } from "../key-state.ts";
import type { Ledger } from "../ledger.ts";
import type { World } from "../world.ts";

/** The writes that are in the final record, tombstones and expired ones among them. */
function finalWrites(world: World, key: KeyState): Set<number> | null {
  const home = key.homes[0];
  const row = home === undefined ? undefined : world.node(home).rowOf(key);
  if (row === undefined) return new Set();
  const record = decodeRecord(row.head, row.body);
  const ids = record.siblings.map((sibling) => world.ledger.opOf(sibling));
  const doubles = ids.filter((id, at) => ids.indexOf(id) !== at && !isDoubled(key, id));
  if (doubles.length > 0) {
    world.violate("duplicates", `${key.name} ends with one write twice: ${ids.join(" ")}`);
  }
  return new Set(ids);
}

export function judgeFinalState(world: World): void {
  const { ledger } = world;
  for (const key of ledger.keys.values()) {
    const final = finalWrites(world, key);
    if (final === null) continue;
    const replaced = new Set<number>();
    for (const id of final) for (const past of ledger.ops[id]?.past ?? []) replaced.add(past);
    for (const op of key.acked) {
      if (final.has(op.id) || replaced.has(op.id) || ledger.mayBeReaped(key, op.id)) continue;
      world.violate(
        "lost-writes",
        `op ${op.id} of ${key.name}, acknowledged at ${op.endMs} by ${op.acks}, is neither there nor replaced; there are ${[...final].join(" ")}`,
      );
    }
    for (const id of final) judgePresent(world, ledger, key, id);
    judgeBound(world, key, final, replaced);
  }
}

function judgePresent(world: World, ledger: Ledger, key: KeyState, id: number): void {
  const write = ledger.ops[id];
  if (write === undefined || write.key !== key.name || write.status === "fail") {
    world.violate("phantom", `${key.name} ends with op ${id}, which was never put or was refused`);
    return;
  }
  for (const op of key.acked) {
    if (op.past?.has(id) !== true || isDoubled(key, id) || isDoubled(key, op.id)) continue;
    world.violate("resurrected", `${key.name} ends with op ${id}, which op ${op.id} had replaced`);
  }
}

/** No more siblings than writes that none of the others replaces. */
function judgeBound(
  world: World,
  key: KeyState,
  final: ReadonlySet<number>,
  replaced: ReadonlySet<number>,
): void {
  for (const id of final) {
    if (!replaced.has(id) || isDoubled(key, id)) continue;
    world.violate("siblings-bounded", `${key.name} keeps op ${id} beside one that replaces it`);
  }
}
