/** When the world has healed: every home of a key holds the same bytes, nobody else holds any, nobody is in doubt. */
import { bytesToHex, utf8Decode } from "../../../src/core/bytes.ts";
import type { DiskRow } from "../../../src/env/disk.ts";
import { QUARANTINE_SHELF } from "../../../src/storage/shelves.ts";
import type { KeyState } from "../key-state.ts";
import type { World } from "../world.ts";

function textOf(row: DiskRow | undefined): string {
  return row === undefined ? "-" : `${bytesToHex(row.head)}/${bytesToHex(row.body)}`;
}

/** What keeps a key from being converged; null when nothing does. */
export function divergence(world: World, key: KeyState): string | null {
  const rows = key.homes.map((home) => textOf(world.node(home).rowOf(key)));
  const rotten = key.homes.find((home) => world.ledger.rotten.has(`${home}/${key.name}`));
  if (rotten !== undefined) return `${key.name} is unreadable at node ${rotten}`;
  if (new Set(rows).size === 1) return null;
  const lengths = key.homes.map((home, i) => `${home}: ${rows[i]?.length ?? 0}`);
  return `${key.name} differs between its homes (${lengths.join(", ")})`;
}

export function judgeStrayRows(world: World): void {
  for (const node of world.nodes) {
    for (const row of node.disk.rows()) {
      const key = world.ledger.keyOf(row);
      if (key?.homes.includes(node.index) === true) continue;
      world.violate("convergence", `node ${node.index} holds a row of ${utf8Decode(row.key)}`);
    }
  }
}

/** Hints that still wait for somebody, or rows that are kept apart and not judged yet: null when there are none. */
export function leftOver(world: World): string | null {
  for (const node of world.nodes) {
    // What is in quarantine stays there until somebody looks at it.
    const row = node.disk.asideRows().find((one) => one.shelf !== QUARANTINE_SHELF);
    if (row === undefined) continue;
    return `node ${node.index} still keeps ${utf8Decode(row.key)} on its shelf ${row.shelf}`;
  }
  return null;
}
