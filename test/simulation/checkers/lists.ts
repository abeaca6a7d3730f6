/**
 * A page of a list: keys in byte order, each once, none that was never put, all in the part of the range that the page speaks of.
 * A list asks a majority of the homes of every key, so it is judged like a strict read: what a majority had acknowledged before
 * it began is not left out, and what that had replaced is not shown.
 */
import type { Op } from "../history.ts";
import { isDoubled, type KeyState, metWeakHome } from "../key-state.ts";
import type { World } from "../world.ts";
import { isAlive } from "./answers.ts";
import { judgeShown } from "./expiry.ts";

export interface Page {
  /** `metadata` is the number of the write that is shown. */
  readonly keys: readonly { readonly name: string; readonly metadata?: unknown }[];
  /** To go on with; none on the last page. */
  readonly cursor?: string;
}

/** What a page says it has looked at. */
export interface Claim {
  readonly reverse: boolean;
  /** The last key of the page before; null on the first one. */
  readonly after: string | null;
  /** The last key that it has looked at, listed or not; null when there is no further page. */
  readonly upTo: string | null;
}

export function pageOf(body: string): Page {
  return JSON.parse(body) as Page;
}

export function judgeList(world: World, op: Op, claim: Claim, page: Page): void {
  const names = page.keys.map((key) => key.name);
  // The names are ASCII: their order as strings is that of their bytes.
  const ordered = [...new Set(names)].sort();
  if (claim.reverse) ordered.reverse();
  if (ordered.join() !== names.join()) {
    world.violate("lists", `list ${op.id} is not in order: ${names.join(" ")}`);
  }
  const { space } = world.ledger.key(op.key);
  for (const { name, metadata } of page.keys) {
    const key = world.ledger.keys.get(name);
    if (key?.space === space && isClaimed(claim, name)) judgeListed(world, op, key, metadata);
    else world.violate("lists", `list ${op.id} shows ${name}`);
  }
  judgeComplete(world, op, claim, new Set(names));
}

function isClaimed({ reverse, after, upTo }: Claim, name: string): boolean {
  const [from, to] = reverse ? [upTo, after] : [after, upTo];
  // The page itself ends with `upTo`, the one before it with `after`.
  if (from !== null && (reverse ? name < from : name <= from)) return false;
  return to === null || (reverse ? name < to : name <= to);
}

function judgeListed(world: World, op: Op, key: KeyState, metadata: unknown): void {
  const shown = typeof metadata === "number" ? world.ledger.ops[metadata] : undefined;
  if (shown?.kind !== "put" || shown.key !== key.name) {
    world.violate("lists", `list ${op.id} shows ${key.name} with the metadata ${metadata}`);
    return;
  }
  judgeShown(world, op, key, shown.id);
  if (metWeakHome(key, op) || isDoubled(key, shown.id)) return;
  for (const write of acknowledgedBefore(key, op)) {
    if (write.past?.has(shown.id) !== true || isDoubled(key, write.id)) continue;
    world.violate(
      "lists",
      `list ${op.id} shows op ${shown.id} of ${key.name}, which op ${write.id} had replaced`,
    );
  }
}

function judgeComplete(world: World, op: Op, claim: Claim, names: ReadonlySet<string>): void {
  const { space } = world.ledger.key(op.key);
  for (const key of world.ledger.keys.values()) {
    if (names.has(key.name) || key.space !== space || metWeakHome(key, op)) continue;
    if (!isClaimed(claim, key.name)) continue;
    if (!acknowledgedBefore(key, op).some((write) => isAlive(world, key, write, op))) continue;
    world.violate("lists", `list ${op.id} leaves out ${key.name}`);
  }
}

function acknowledgedBefore(key: KeyState, op: Op): Op[] {
  return key.strong.filter((write) => write.endMs < op.startMs);
}
