/** Before anything breaks: the cluster forms, its namespaces are made, and it is learned where each key lives. */
import { urlOf } from "./client-call.ts";
import type { World } from "./world.ts";

export const FORM_LIMIT_MS = 60_000;
const NAMESPACE_LIMIT_MS = 30_000;

export async function formCluster(world: World): Promise<void> {
  for (const node of world.nodes) world.boot(node.index);
  await untilReady(world, FORM_LIMIT_MS);
  await makeNamespace(world);
  await learnHomes(world);
}

export async function untilReady(world: World, limitMs: number): Promise<void> {
  const endMs = world.nowMs + limitMs;
  for (;;) {
    const answers = await Promise.all(
      world.nodes.map((node) => ask(world, node.index, "/readyz").catch(() => null)),
    );
    if (answers.every((answer) => answer?.status === 200)) return;
    if (world.nowMs >= endMs) {
      const late = answers.flatMap((answer, index) => (answer?.status === 200 ? [] : [index]));
      throw new Error(`nodes ${late.join(" ")} were not ready in time`);
    }
    await world.clock.run(world.nowMs + 250);
  }
}

function ask(world: World, node: number, path: string, init?: RequestInit): Promise<Response> {
  const running = world.node(node).process?.node;
  if (running === undefined || running === null) throw new Error(`node ${node} does not run`);
  return Promise.resolve(running.fetch(new Request(urlOf(node, path, ""), init)));
}

/** Runs the world until the node has answered. */
async function askAndWait(
  world: World,
  node: number,
  path: string,
  init?: RequestInit,
): Promise<Readonly<Record<string, unknown>> & { readonly status: number }> {
  let found: (Record<string, unknown> & { readonly status: number }) | null = null;
  let failure: unknown = null;
  ask(world, node, path, init).then(
    async (response) => {
      found = { ...((await response.json()) as object), status: response.status };
    },
    (error: unknown) => {
      failure = error;
    },
  );
  await world.clock.runUntil(() => found !== null || failure !== null, 20_000, path);
  if (found === null) throw new Error(`${path} was not answered: ${failure}`);
  return found;
}

/** A second namespace with a policy and settings of its own, known to all nodes before anybody uses it. */
async function makeNamespace(world: World): Promise<void> {
  const { namespace } = world.options;
  if (namespace === null) return;
  const { name, ...settings } = namespace;
  const path = `/v1/namespaces/${name}`;
  const body = JSON.stringify(settings);
  const endMs = world.nowMs + NAMESPACE_LIMIT_MS;
  for (const node of world.nodes) {
    for (;;) {
      const found =
        node.index === 0
          ? await askAndWait(world, 0, path, { method: "PUT", body })
          : await askAndWait(world, node.index, path);
      const isKnown =
        found["strict"] === settings.strict && found["conflict"] === settings.conflict;
      if (found.status < 300 && isKnown) {
        for (const key of world.ledger.keys.values()) {
          if (key.space === name) key.namespace = found["id"] as number;
        }
        break;
      }
      if (world.nowMs >= endMs) throw new Error(`namespace ${name} was not made: ${found.status}`);
      await world.clock.run(world.nowMs + 250);
    }
  }
}

async function learnHomes(world: World): Promise<void> {
  for (const key of world.ledger.keys.values()) {
    const found = await askAndWait(world, 0, `/v1/cluster/explain/${key.space}/${key.name}`);
    const owners = found["owners"] as readonly { readonly id: string }[];
    key.homes = owners.map(({ id }) => world.nodes.findIndex((node) => node.id === id));
  }
}

/** By node: whom it does not believe to be up. */
export async function membersNotUp(world: World): Promise<string[]> {
  const doubted: string[] = [];
  for (const node of world.nodes) {
    const found = await askAndWait(world, node.index, "/v1/cluster");
    const members = found["nodes"] as readonly { readonly id: string; readonly state: string }[];
    for (const { id, state } of members) {
      if (state === "up") continue;
      doubted.push(`${world.nodes.findIndex((other) => other.id === id)} at ${node.index}`);
    }
  }
  return doubted;
}
