/**
 * A page of a list: keys in byte order, each once, none that was never put. A list asks a majority of the homes of every key, so
 * it is judged like a strict read: what a majority had acknowledged before it began is not left out, and what that had replaced
 * is not shown.
 */
import type { Op } from "../history.ts";
import type { KeyState } from "../key-state.ts";
import type { World } from "../world.ts";
import { isAlive, isDoubled } from "./answers.ts";

interface Page {
  /** `metadata` is the number of the write that is shown. */
  readonly keys: readonly { readonly name: string; readonly metadata?: unknown }[];
  readonly complete: boolean;
}

export function judgeList(world: World, op: Op, reverse: boolean, body: string): void {
  const page = JSON.parse(body) as Page;
  const names = page.keys.map((key) => key.name);
  // The names are ASCII: their order as strings is that of their bytes.
  const ordered = [...new Set(names)].sort();
  if (reverse) ordered.reverse();
  if (ordered.join() !== names.join()) {
    world.violate("lists", `list ${op.id} is not in order: ${names.join(" ")}`);
  }
  const { space } = world.ledger.key(op.key);
  for (const { name, metadata } of page.keys) {
    const key = world.ledger.keys.get(name);
    if (key?.space === space) judgeShown(world, op, key, metadata);
    else world.violate("lists", `list ${op.id} shows ${name}`);
  }
  if (page.complete) judgeComplete(world, op, new Set(names));
}

function judgeShown(world: World, op: Op, key: KeyState, metadata: unknown): void {
  const shown = typeof metadata === "number" ? world.ledger.ops[metadata] : undefined;
  if (shown?.kind !== "put" || shown.key !== key.name) {
    world.violate("lists", `list ${op.id} shows ${key.name} with the metadata ${metadata}`);
    return;
  }
  if (key.isWeakened || isDoubled(key, shown.id)) return;
  for (const write of acknowledgedBefore(key, op)) {
    if (write.past?.has(shown.id) !== true || isDoubled(key, write.id)) continue;
    world.violate(
      "lists",
      `list ${op.id} shows op ${shown.id} of ${key.name}, which op ${write.id} had replaced`,
    );
  }
}

function judgeComplete(world: World, op: Op, names: ReadonlySet<string>): void {
  const { space } = world.ledger.key(op.key);
  for (const key of world.ledger.keys.values()) {
    if (names.has(key.name) || key.space !== space || key.isWeakened) continue;
    if (!acknowledgedBefore(key, op).some((write) => isAlive(world.ledger, key, write, op)))
      continue;
    world.violate("lists", `list ${op.id} leaves out ${key.name}`);
  }
}

function acknowledgedBefore(key: KeyState, op: Op): Op[] {
  return key.strong.filter((write) => write.endMs < op.startMs);
}
