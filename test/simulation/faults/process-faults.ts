/** Processes that die, that stand still, and whose clocks are set anew. */
import type { SimNode } from "../sim-node.ts";
import { CRASH_POINTS } from "../sim-process.ts";
import type { FaultKit } from "./fault-kit.ts";

/** An armed process that never reaches its point is killed anyway, this much later. */
const ARMED_FOR_MS = 300;

export function crash(kit: FaultKit): void {
  const { world, random } = kit;
  const node = random.pick(world.nodes);
  if (!node.alive) return;
  world.count("crash");
  if (random.chance(world.options.faults.crashMidTurn)) {
    node.process?.arm(random.pick(CRASH_POINTS), random.integer(1, 4));
    kit.later(ARMED_FOR_MS, () => kit.down(node));
  } else {
    kit.down(node);
  }
  // It stays down from the crash on, whenever that comes.
  kit.later(ARMED_FOR_MS + kit.downForMs(), () => kit.up(node));
  restartSoonAfterArmed(kit, node);
  kit.workload.probe(world.atlas.keysAt(node.index), ARMED_FOR_MS * 2);
}

/** A process manager that restarts at once: the node is back while what it had sent is still under way. */
function restartSoonAfterArmed(kit: FaultKit, node: SimNode): void {
  if (!kit.random.chance(0.5)) return;
  for (let ms = 5; ms < ARMED_FOR_MS; ms += 15) kit.later(ms, () => kit.up(node));
}

/** Once, or again and again: a loop that is always late looks as if everybody else were dead. */
export function stall(kit: FaultKit): void {
  const { world, random } = kit;
  const node = random.pick(world.nodes);
  const times = random.pick([1, 1, 3]);
  let afterMs = 0;
  for (let i = 0; i < times; i++) {
    const forMs = random.integer(300, 3_000);
    kit.later(afterMs, () => {
      if (!node.alive) return;
      world.count("stall");
      kit.trace(`stall ${node.index} ${forMs}`);
      node.process?.stall(forMs);
    });
    afterMs += forMs + random.integer(100, 800);
  }
}

/** The wall clock is set, forwards or backwards, by up to days; the monotonic one does not notice. */
export function jumpClock(kit: FaultKit): void {
  const { world, random } = kit;
  const node = random.pick(world.nodes);
  const max = world.options.faults.clockJumpByMs;
  const byMs = Math.round(random.between(-max, max));
  world.count("clock jump");
  kit.trace(`jump ${node.index} ${byMs}`);
  node.jump(byMs);
}
