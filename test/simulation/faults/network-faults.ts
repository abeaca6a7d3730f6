/** Links that are cut, that flap, and that crawl. */
import type { PartitionShape } from "../options.ts";
import type { SimNode } from "../sim-node.ts";
import type { FaultKit } from "./fault-kit.ts";

export type Cut = readonly [from: number, to: number];

/** One side of the world loses sight of the other for a while, in both directions or in one. */
export function partition(kit: FaultKit): void {
  const { world, random } = kit;
  const { faults } = world.options;
  const shape = random.pick(faults.partitionShapes);
  world.count(`partition ${shape}`);
  const side = sideOf(kit, shape);
  const oneWay = random.chance(faults.oneWay);
  if (oneWay) world.count("partition one way");
  const outwards = random.chance(0.5);
  const cuts: Cut[] = [];
  for (const a of side) {
    for (const b of world.nodes) {
      if (side.includes(b)) continue;
      if (!oneWay || outwards) cuts.push([a.index, b.index]);
      if (!oneWay || !outwards) cuts.push([b.index, a.index]);
    }
  }
  cutFor(kit, shape === "pair" ? pairOf(kit, oneWay) : cuts);
}

function sideOf(kit: FaultKit, shape: PartitionShape): SimNode[] {
  const { world, random } = kit;
  const { nodes } = world;
  switch (shape) {
    case "lone": {
      const lone = random.below(nodes.length);
      return nodes.filter((node) => node.index === lone);
    }
    case "region": {
      const region = random.below(world.options.regions);
      return nodes.filter((node) => node.region === region);
    }
    case "half":
      return nodes.filter(() => random.chance(0.5));
    case "uniform-size": {
      // Each size is as likely as any other: halves by coin would nearly always be halves.
      let wanted = random.integer(1, nodes.length - 1);
      return nodes.filter((node) => {
        const taken = random.chance(wanted / (nodes.length - node.index));
        if (taken) wanted--;
        return taken;
      });
    }
    case "pair":
      return [];
  }
}

/** Two nodes that cannot reach each other while everybody else can reach both: a partial partition. */
export function pairOf(kit: FaultKit, oneWay: boolean): Cut[] {
  const { nodes } = kit.world;
  const a = kit.random.below(nodes.length);
  const b = (a + kit.random.integer(1, nodes.length - 1)) % nodes.length;
  return oneWay
    ? [[a, b]]
    : [
        [a, b],
        [b, a],
      ];
}

function cutFor(kit: FaultKit, cuts: readonly Cut[]): void {
  const { random, world } = kit;
  cutDuring(kit, cuts, random.between(0.2, 2) * world.options.faults.partitionForMs);
}

export function cutDuring(kit: FaultKit, cuts: readonly Cut[], forMs: number): void {
  const { world } = kit;
  kit.trace(`partition ${cuts.map((cut) => cut.join(">")).join(" ")}`);
  for (const [from, to] of cuts) world.network.cut(from, to);
  kit.later(forMs, () => {
    for (const [from, to] of cuts) world.network.mend(from, to);
  });
}

/** A link that comes and goes faster than anybody can get used to it. */
export function flap(kit: FaultKit): void {
  const { world, random } = kit;
  world.count("flapping link");
  const cuts = pairOf(kit, random.chance(0.5));
  const everyMs = random.pick([20, 100, 400]);
  let left = random.integer(4, 16);
  kit.trace(`flap ${cuts.map((cut) => cut.join(">")).join(" ")} ${everyMs} ${left}`);
  const turn = (): void => {
    const isCut = left-- % 2 === 0;
    for (const [from, to] of cuts) {
      if (isCut) world.network.cut(from, to);
      else world.network.mend(from, to);
    }
    if (left > 0) kit.later(random.between(0.2, 2) * everyMs, turn);
    else if (isCut) for (const [from, to] of cuts) world.network.mend(from, to);
  };
  // Begins with a cut, whatever the number.
  left -= left % 2;
  turn();
}

/** All that goes to a node or comes from it takes many times as long. */
export function slowNode(kit: FaultKit): void {
  const { world, random } = kit;
  const node = random.pick(world.nodes);
  const factor = random.pick([5, 20, 100]);
  world.count("slow node");
  kit.trace(`slow ${node.index} ${factor}`);
  world.network.slow(node.index, factor);
  kit.later(random.integer(500, 3_000), () => world.network.slow(node.index, 1));
}
