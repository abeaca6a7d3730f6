/** Disks that rot, fill up and are lost: as far as the atlas allows, and where it hurts most. */
import type { KeyState } from "../key-state.ts";
import type { RowPart } from "../sim-disk.ts";
import type { SimNode } from "../sim-node.ts";
import type { FaultKit } from "./fault-kit.ts";

interface Copy {
  readonly node: number;
  readonly key: KeyState;
}

const PARTS: readonly RowPart[] = ["head", "head", "body", "sum"];

export function forgetRow(kit: FaultKit): void {
  const { ledger, atlas } = kit.world;
  const copies: Copy[] = [...ledger.keys.values()].flatMap((key) =>
    key.homes.map((node) => ({ node, key })),
  );
  const copy = worst(
    kit,
    copies.filter(({ node, key }) => atlas.mayForgetRow(node, key)),
    ({ node, key }) => atlas.hurts(node, key),
  );
  if (copy === null) kit.world.count("damage withheld");
  else rot(kit, copy.node, copy.key);
}

/** Mostly one that hurts, if there is one: damage that others make good at once shows nothing. */
function worst<T>(kit: FaultKit, choices: readonly T[], hurts: (choice: T) => boolean): T | null {
  if (choices.length === 0) return null;
  const painful = kit.random.chance(0.8) ? choices.filter(hurts) : [];
  return kit.random.pick(painful.length > 0 ? painful : choices);
}

/** The row in the cache stays good: a process finds the damage out when it reads the disk, at the latest after a restart. */
function rot(kit: FaultKit, index: number, key: KeyState): void {
  const { world, random } = kit;
  const node = world.node(index);
  const part = random.pick(PARTS);
  world.losses.lose(index, [key]);
  if (!node.disk.rot(key.namespace, key.bytes, random.below(1_000), part)) return;
  world.count(`row made unreadable in its ${part}`);
  kit.trace(`rot ${index} ${key.name} ${part}`);
  world.atlas.forgotRow(index, key);
  if (random.chance(0.5)) {
    kit.down(node);
    kit.later(random.between(1, 50), () => kit.up(node));
  }
  kit.workload.probe([key], random.between(10, 500));
}

export function loseDatabase(kit: FaultKit): void {
  const { world } = kit;
  const node = worstNode(kit);
  if (node === null) {
    world.count("damage withheld");
    return;
  }
  kit.down(node);
  world.count("database lost");
  kit.trace(`lose ${node.index}`);
  const keys = world.atlas.keysAt(node.index);
  world.losses.lose(node.index, keys);
  world.setBacks.noticed(node.index);
  node.disk.lose();
  node.forgotten = true;
  world.atlas.lostDatabase(node.index, keys);
  const downForMs = kit.downForMs();
  kit.later(downForMs, () => kit.up(node));
  // It takes part again once it has found the layout.
  for (const afterMs of [300, 900, 1_500, 2_500]) {
    kit.later(downForMs + afterMs, () => kit.workload.probe(world.atlas.keysAt(node.index), 400));
  }
}

function worstNode(kit: FaultKit): SimNode | null {
  const { nodes, atlas } = kit.world;
  return worst(
    kit,
    nodes.filter((one) => atlas.mayLoseDatabase(one.index)),
    (one) => atlas.keysAt(one.index).some((key) => atlas.hurts(one.index, key)),
  );
}

/** For so many commits, or for a time. */
export function fillDisk(kit: FaultKit): void {
  const { world, random } = kit;
  const node = random.pick(world.nodes);
  kit.trace(`full ${node.index}`);
  if (random.chance(0.6)) {
    world.count("disk full");
    node.disk.fullCommits += random.integer(1, 4);
    return;
  }
  world.count("disk full for a time");
  node.disk.full = true;
  kit.later(random.integer(200, 3_000), () => {
    node.disk.full = false;
  });
}

/** The machine goes dark: what was not synced is gone, as far as others still have it. */
export function cutPower(kit: FaultKit): void {
  const { world, random } = kit;
  if (world.options.durability !== "process") return;
  const node = random.pick(world.nodes.filter((one) => one.role === "storage"));
  const { atlas } = world;
  const keys = atlas.keysAt(node.index);
  if (!node.alive || atlas.isRotten(node.index) || !atlas.mayLoseDatabase(node.index)) return;
  kit.down(node);
  const heads = keys.map((key) => node.rowOf(key)?.head);
  node.disk.takeBack(random.integer(Math.min(1, node.disk.unsynced), node.disk.unsynced));
  world.count("power cut");
  kit.trace(`power cut ${node.index}`);
  atlas.lostDatabase(node.index, keys);
  keys.forEach((key, at) => {
    if (node.rowOf(key)?.head === heads[at]) return;
    world.weakHomes.weaken(node.index, key);
    world.count("power cut took a row back");
  });
  kit.later(kit.downForMs(), () => kit.up(node));
}
