/** A page of a list: keys in byte order, each once, none that was never put, and none left out that must be there. */
import type { Op } from "../history.ts";
import type { World } from "../world.ts";

interface Page {
  readonly keys: readonly { readonly name: string }[];
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
  for (const name of names) {
    if (world.ledger.keys.get(name)?.space === space) continue;
    world.violate("lists", `list ${op.id} shows ${name}`);
  }
  if (page.complete) judgeComplete(world, op, new Set(names));
}

/** A key that nobody ever tried to delete, nor to let expire, is there once a majority has acknowledged it. */
function judgeComplete(world: World, op: Op, names: ReadonlySet<string>): void {
  if (world.options.workload.expiring > 0) return;
  const { space } = world.ledger.key(op.key);
  for (const key of world.ledger.keys.values()) {
    if (names.has(key.name) || key.space !== space || key.isWeakened) continue;
    const deleted = world.ledger.ops.some(
      (other) => other.key === key.name && other.kind === "delete" && other.startMs <= op.endMs,
    );
    const acknowledged = key.strong.some((write) => write.endMs < op.startMs);
    if (acknowledged && !deleted) world.violate("lists", `list ${op.id} leaves out ${key.name}`);
  }
}
