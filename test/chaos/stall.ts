/**
 * A node whose event loop stands still for two seconds again and again: the sick one is not to accuse the healthy. Every
 * node is asked all the time what it believes, and every log is read for what it believed in between.
 */
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import type { Runtime } from "../e2e/dev-cluster.ts";
import { ChaosCluster, NODES } from "./chaos-cluster.ts";

const STALL_MS = 2_000;
const STALL_EVERY_MS = 1_500;
const POLL_MS = 200;

export async function runStall(options: {
  readonly seconds: number;
  readonly runtime: Runtime;
  readonly directory: string;
  readonly say: (line: string) => void;
}): Promise<boolean> {
  const { directory, say } = options;
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  const cluster = new ChaosCluster(directory, options.runtime);
  const sick = NODES - 1;
  const beliefs: Beliefs = new Map();
  let polls = 0;
  try {
    await cluster.start();
    const ids = new Map<string, number>();
    for (const node of cluster.nodes)
      ids.set((await cluster.viewOf(node))?.self ?? "", node.number);
    cluster.node(sick).control({ stallMs: STALL_MS, stallEveryMs: STALL_EVERY_MS });
    const endMs = performance.now() + options.seconds * 1000;
    const watch = async (number: number): Promise<void> => {
      while (performance.now() < endMs) {
        const view = await cluster.viewOf(cluster.node(number));
        polls += view === undefined ? 0 : 1;
        for (const { id, state } of view?.nodes ?? []) {
          if (state !== "up") note(beliefs, number, ids.get(id), state);
        }
        await new Promise((wake) => setTimeout(wake, POLL_MS));
      }
    };
    await Promise.all(cluster.nodes.map((node) => watch(node.number)));
    await cluster.stop();
    for (const node of cluster.nodes) noteLog(node.log, node.number, ids, beliefs);
  } finally {
    await cluster.close();
  }
  say(
    `${options.seconds} s, node ${sick} stalled ${STALL_MS} ms in every ${STALL_MS + STALL_EVERY_MS} ms, ${polls} looks at all beliefs`,
  );
  for (const [belief, times] of beliefs) say(`  ${belief}: ${times} times`);
  const wronged = [...beliefs.keys()].filter(
    (belief) => belief.endsWith(" down") && !belief.includes(` of ${sick}:`),
  );
  say(
    wronged.length === 0
      ? "no healthy node was ever believed down"
      : `VIOLATED: ${wronged.join("; ")}`,
  );
  return wronged.length === 0 && polls > options.seconds;
}

/** How often each was met: `node 1 of 2: down`. */
type Beliefs = Map<string, number>;

function note(beliefs: Beliefs, by: number, about: number | undefined, state: string): void {
  const belief = `node ${by} of ${about}: ${state}`;
  beliefs.set(belief, (beliefs.get(belief) ?? 0) + 1);
}

/** Beliefs that came and went between two looks. */
function noteLog(
  path: string,
  by: number,
  ids: ReadonlyMap<string, number>,
  beliefs: Beliefs,
): void {
  for (const line of readFileSync(path, "utf8").split("\n")) {
    if (!line.includes('"member-down"')) continue;
    const [, id = ""] = /"node":"([0-9a-f]{32})"/.exec(line) ?? [];
    note(beliefs, by, ids.get(id), "down");
  }
}
