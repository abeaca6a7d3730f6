/** Disks that go back in time: an older backup is restored, or the newest commits are lost. */
import { ACTOR_META, IN_DOUBT_META, RESTORED_META } from "../../../src/storage/meta-names.ts";
import { RESTORED_MARK } from "../../../src/storage/restored-tables.ts";
import type { SimNode } from "../sim-node.ts";
import type { FaultKit } from "./fault-kit.ts";

const BACKUPS_MAX = 3;

export function takeBackup(kit: FaultKit): void {
  backUp(kit, kit.random.pick(kit.world.nodes));
}

function backUp(kit: FaultKit, node: SimNode): void {
  const { atlas } = kit.world;
  // A backup is taken between two turns: a transaction that is open now is not in it.
  if (node.role !== "storage" || node.disk.isWriting) return;
  // One with bad rows fails its own check.
  if (atlas.isRotten(node.index)) return;
  node.backups.push(node.disk.image());
  // The oldest stays: it may be from before what was forgotten since.
  if (node.backups.length > BACKUPS_MAX) node.backups.splice(1, 1);
}

/** `gyre restore`: the node's database gives way to a backup of it. What the backup lacks is lost with the disk. */
export function restoreBackup(kit: FaultKit): void {
  const node = victim(kit);
  if (node === null) return;
  // One that was made just before still has what everybody has.
  if (kit.other.chance(0.4)) backUp(kit, node);
  goBack(kit, node, kit.random.pick(node.backups), "backup restored", true);
}

/**
 * A damaged log: the database is as it was a while ago. The scan before opening, or the high-water file, finds that out
 * (src/storage/database-file.ts), and the node goes on as from a backup, in doubt and under a new actor id.
 */
export function loseNewest(kit: FaultKit): void {
  const node = victim(kit);
  const image = node?.backups.at(-1);
  if (node !== null && image !== undefined) {
    goBack(kit, node, image, "newest commits lost", true);
  }
}

/**
 * A machine goes back to a snapshot of itself, and nothing on its disk shows that: only its peers can tell
 * (src/replication/copy-check.ts).
 */
export function rollBack(kit: FaultKit): void {
  const { durability, reaping } = kit.world.options;
  // With durability=process nobody can tell it from a power cut: what was forgotten since comes back (docs/operations.md).
  if (durability === "process" && reaping !== null) return;
  const node = victim(kit);
  if (node === null) return;
  // What is older than its peers' last word of it can be noticed, what is younger must do no harm either.
  goBack(kit, node, kit.other.pick(node.backups), "disk rolled back", false);
}

/** `isKnown`: the disk tells that it went back, so that its rows are held apart from the next open on. */
function goBack(
  kit: FaultKit,
  node: SimNode,
  image: SimNode["backups"][number],
  fault: string,
  isKnown: boolean,
): void {
  const { atlas, setBacks } = kit.world;
  kit.down(node);
  kit.world.count(fault);
  kit.trace(`${fault} ${node.index}`);
  const keys = atlas.keysAt(node.index);
  kit.world.losses.lose(node.index, keys);
  node.disk.putBack(image);
  // Its next start takes a new actor, of which peers remember nothing: to them it is a power cut.
  const isPowerCut = !isKnown && kit.world.options.durability === "process";
  if (isPowerCut) for (const key of keys) kit.world.weakHomes.weaken(node.index, key);
  if (isKnown) {
    node.disk.mark({
      [ACTOR_META]: null,
      [IN_DOUBT_META]: new Uint8Array([1]),
      [RESTORED_META]: new Uint8Array([RESTORED_MARK]),
    });
    node.forgotten = true;
    // Until it is judged, what went back is nobody's copy.
    node.disk.holdRestored();
  }
  atlas.lostDatabase(node.index, keys);
  if (isKnown || isPowerCut) setBacks.noticed(node.index);
  else setBacks.wentBack(node);
  goOn(kit, node);
}

/** A node with a backup, whose disk may be lost. */
function victim(kit: FaultKit): SimNode | null {
  const { nodes, atlas } = kit.world;
  const choices = nodes.filter((one) => one.backups.length > 0 && atlas.mayLoseDatabase(one.index));
  if (choices.length === 0) {
    kit.world.count("damage withheld");
    return null;
  }
  return kit.random.pick(choices);
}

function goOn(kit: FaultKit, node: SimNode): void {
  const downForMs = kit.downForMs();
  kit.later(downForMs, () => kit.up(node));
  for (const afterMs of [300, 900, 1_500]) {
    kit.later(downForMs + afterMs, () => {
      kit.workload.probe(kit.world.atlas.keysAt(node.index), 400);
    });
  }
}
