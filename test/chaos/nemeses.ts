/** What is done to the cluster while the clients work. Each strikes again and again until it is told to stop. */
import { type ChaosCluster, NODES, REGIONS } from "./chaos-cluster.ts";
import type { ChaosNode } from "./chaos-node.ts";

export interface Strike {
  readonly cluster: ChaosCluster;
  readonly chance: () => number;
  /** Resolves after the time, or at once when the run is over: then false. */
  readonly wait: (delayMs: number) => Promise<boolean>;
  readonly note: (text: string) => void;
}

export interface Nemesis {
  readonly name: string;
  readonly what: string;
  /** A disk is lost or damaged: writes that a single replica acknowledged are not promised to outlive that. */
  readonly losesDisk?: boolean;
  /** One blow; the world need not be whole afterwards, but must be for the next one to strike. */
  readonly strike: (strike: Strike) => Promise<void>;
}

const ALL = Array.from({ length: NODES }, (_, number) => number);

function below({ chance }: Strike, limit: number): number {
  return Math.floor(chance() * limit);
}

function between({ chance }: Strike, least: number, most: number): number {
  return least + chance() * (most - least);
}

function shuffled(strike: Strike): number[] {
  const order = [...ALL];
  for (let i = order.length - 1; i > 0; i--) {
    const j = below(strike, i + 1);
    [order[i], order[j]] = [order[j] as number, order[i] as number];
  }
  return order;
}

function anyNode(strike: Strike): ChaosNode {
  return strike.cluster.node(below(strike, NODES));
}

function regionNodes(region: string, cluster: ChaosCluster): number[] {
  return cluster.nodes.filter((node) => node.region === region).map((node) => node.number);
}

function rest(nodes: readonly number[]): number[] {
  return ALL.filter((number) => !nodes.includes(number));
}

async function parted(strike: Strike, group: readonly number[]): Promise<void> {
  strike.note(`cut off ${group.join()}`);
  strike.cluster.network.partition([group, rest(group)]);
  await strike.wait(between(strike, 2_000, 8_000));
  strike.cluster.network.heal();
  await strike.wait(between(strike, 500, 3_000));
}

async function restarted(strike: Strike, nodes: readonly ChaosNode[]): Promise<void> {
  strike.note(`kill -9 ${nodes.map((node) => node.number).join()}`);
  await Promise.all(nodes.map((node) => node.kill()));
  await strike.wait(between(strike, 200, 5_000));
  for (const node of nodes) node.start();
  await Promise.all(nodes.map((node) => node.ready()));
  await strike.wait(between(strike, 200, 3_000));
}

async function oneWay(strike: Strike): Promise<void> {
  const order = shuffled(strike);
  const from = order.slice(0, 1 + below(strike, 3));
  strike.note(`nothing leaves ${from.join()} for the others, all reaches it`);
  for (const source of from)
    for (const target of rest(from)) strike.cluster.network.cut(source, target);
  await strike.wait(between(strike, 2_000, 8_000));
  strike.cluster.network.heal();
  await strike.wait(between(strike, 500, 2_000));
}

/** Two halves that only one node can still reach: nobody sees the same cluster (Jepsen's "bridge"). */
async function bridged(strike: Strike): Promise<void> {
  const [bridge = 0, ...others] = shuffled(strike);
  const left = others.slice(0, 3);
  strike.note(`${left.join()} cut off from ${others.slice(3).join()}, but for ${bridge}`);
  for (const one of left) {
    for (const other of others.slice(3)) {
      strike.cluster.network.cut(one, other);
      strike.cluster.network.cut(other, one);
    }
  }
  await strike.wait(between(strike, 2_000, 8_000));
  strike.cluster.network.heal();
  await strike.wait(between(strike, 500, 2_000));
}

async function flapping(strike: Strike): Promise<void> {
  const { number } = anyNode(strike);
  strike.note(`the link of ${number} flaps`);
  for (let flap = 0; flap < 8; flap++) {
    strike.cluster.network.setLink(number, false);
    await strike.wait(between(strike, 100, 1_500));
    strike.cluster.network.setLink(number, true);
    if (!(await strike.wait(between(strike, 100, 1_500)))) break;
  }
}

async function paused(strike: Strike): Promise<void> {
  const node = anyNode(strike);
  strike.note(`SIGSTOP ${node.number}`);
  node.pause();
  await strike.wait(between(strike, 500, 8_000));
  node.resume();
  await strike.wait(between(strike, 500, 3_000));
}

async function rolling(strike: Strike): Promise<void> {
  for (const node of strike.cluster.nodes) {
    strike.note(`restart ${node.number}`);
    await node.stop();
    node.start();
    await node.ready();
    if (!(await strike.wait(500))) return;
  }
}

/** Up to five minutes either way, as Jepsen bumps clocks; now and then strobing between two times. */
async function skewed(strike: Strike): Promise<void> {
  const node = anyNode(strike);
  const skewMs = Math.round(between(strike, -288_000, 288_000));
  const strobes = strike.chance() < 0.3 ? 20 : 1;
  strike.note(`clock of ${node.number} off by ${skewMs} ms${strobes > 1 ? ", strobing" : ""}`);
  for (let strobe = 0; strobe < strobes; strobe++) {
    node.control({ skewMs: strobe % 2 === 0 ? skewMs : 0 });
    if (!(await strike.wait(strobes > 1 ? 200 : between(strike, 1_000, 6_000)))) return;
  }
  // Half of them stay as they are: clocks of several nodes are wrong at once.
  if (strike.chance() < 0.5) node.control({});
}

async function fullDisk(strike: Strike): Promise<void> {
  const node = anyNode(strike);
  strike.note(`disk of ${node.number} full`);
  node.fillDisk();
  await strike.wait(between(strike, 2_000, 6_000));
  if (strike.chance() < 0.3) {
    await node.kill();
    node.freeDisk();
    node.start();
    await node.ready();
  }
  node.freeDisk();
  await strike.wait(between(strike, 500, 3_000));
}

/** Always the same node: as few disks as W - 1 may be lost, and a second one is not until the first is whole again. */
async function damaged(strike: Strike, harm: (node: ChaosNode) => string): Promise<void> {
  const node = strike.cluster.node(NODES - 1);
  if (strike.chance() < 0.5) await node.kill();
  else await node.stop();
  strike.note(`node ${node.number}: ${harm(node)}`);
  node.start();
  await node.ready();
  await strike.wait(between(strike, 5_000, 8_000));
}

async function stalled(strike: Strike): Promise<void> {
  const node = anyNode(strike);
  strike.note(`event loop of ${node.number} stalls 2 s again and again`);
  node.control({ stallMs: 2_000, stallEveryMs: 1_000 });
  await strike.wait(between(strike, 5_000, 10_000));
  node.control({});
  await strike.wait(between(strike, 500, 3_000));
}

function twoRegions(strike: Strike): ChaosNode[] {
  const [first = "", second = ""] = [...REGIONS].sort(() => strike.chance() - 0.5);
  return [first, second].map((region) => {
    const nodes = regionNodes(region, strike.cluster);
    return strike.cluster.node(nodes[below(strike, nodes.length)] ?? 0);
  });
}

const MIXED = [
  (strike: Strike) => parted(strike, shuffled(strike).slice(0, 1 + below(strike, 3))),
  oneWay,
  bridged,
  flapping,
  paused,
  skewed,
  fullDisk,
  stalled,
  (strike: Strike) => restarted(strike, [anyNode(strike)]),
  (strike: Strike) => restarted(strike, twoRegions(strike)),
];

/** Two blows at a time, in their own rhythms. */
async function mixed(strike: Strike): Promise<void> {
  const blow = async (): Promise<void> => {
    await MIXED[below(strike, MIXED.length)]?.(strike);
  };
  await Promise.all([blow(), blow()]);
  strike.cluster.network.heal();
}

export const NEMESES: readonly Nemesis[] = [
  { name: "none", what: "nothing happens", strike: async ({ wait }) => void (await wait(1_000)) },
  {
    name: "halves",
    what: "three nodes cut off from three",
    strike: (strike) => parted(strike, shuffled(strike).slice(0, 3)),
  },
  {
    name: "isolate",
    what: "one node cut off from all",
    strike: (strike) => parted(strike, [below(strike, NODES)]),
  },
  {
    name: "region",
    what: "a region cut off from the others",
    strike: (strike) =>
      parted(strike, regionNodes(REGIONS[below(strike, REGIONS.length)] ?? "", strike.cluster)),
  },
  {
    name: "one-way",
    what: "what some nodes send is dropped, what is sent to them arrives",
    strike: oneWay,
  },
  {
    name: "bridge",
    what: "two halves that only one node reaches",
    strike: bridged,
  },
  { name: "flapping", what: "a node's link goes down and up", strike: flapping },
  {
    name: "kill",
    what: "kill -9 of a node, started again",
    strike: (strike) => restarted(strike, [anyNode(strike)]),
  },
  {
    name: "kill-two",
    what: "kill -9 of two nodes of different regions at once",
    strike: (strike) => restarted(strike, twoRegions(strike)),
  },
  {
    name: "kill-all",
    what: "kill -9 of all nodes at once",
    strike: async (strike) => {
      await restarted(strike, strike.cluster.nodes);
      await strike.wait(between(strike, 3_000, 6_000));
    },
  },
  { name: "pause", what: "SIGSTOP and SIGCONT of a node", strike: paused },
  { name: "restarts", what: "all nodes stopped and started in turn", strike: rolling },
  { name: "skew", what: "wall clocks off by up to 288 s, jumping and strobing", strike: skewed },
  { name: "disk-full", what: "a node's disk is full for some seconds", strike: fullDisk },
  {
    name: "bit-flip",
    what: "a stopped node's database or log has one bit flipped",
    losesDisk: true,
    strike: (strike) => damaged(strike, (node) => node.flipBit(strike.chance())),
  },
  {
    name: "disk-lost",
    what: "a stopped node's directory is emptied but for its identity",
    losesDisk: true,
    strike: (strike) =>
      damaged(strike, (node) => {
        node.loseDatabase();
        return "database lost";
      }),
  },
  {
    name: "stalls",
    what: "a node's event loop stands still for 2 s again and again",
    strike: stalled,
  },
  {
    name: "mixed",
    what: "two of the above at a time, but for lost and damaged disks",
    strike: mixed,
  },
];
