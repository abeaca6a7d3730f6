import { describe, expect, test } from "bun:test";
import { SharedRun } from "../../src/cluster/shared-run.ts";
import { formedWorld } from "../support/cluster-world.ts";

describe("a shared run", () => {
  test("serves all who ask while it runs with one more run, and then begins anew", async () => {
    const ends: (() => void)[] = [];
    const shared = new SharedRun(() => new Promise((resolve) => ends.push(resolve)));
    const ended: string[] = [];
    const ask = (who: string) => void shared.ask().then(() => ended.push(who));
    ask("first");
    for (let i = 0; i < 100; i++) ask("later");
    expect(ends).toHaveLength(1);
    ends[0]?.();
    await new Promise((resolve) => setTimeout(resolve, 1));
    expect(ended).toEqual(["first"]);
    expect(ends).toHaveLength(2);
    ends[1]?.();
    await new Promise((resolve) => setTimeout(resolve, 1));
    expect(ended).toHaveLength(101);
    ask("again");
    expect(ends).toHaveLength(3);
  });

  // Each message of a batch under a newer layout, and each request for an unknown namespace, asked peers of its own.
  test("is what a node makes of many wishes for a newer layout", async () => {
    const world = await formedWorld(3);
    const [asker, holder] = world.nodes;
    if (asker === undefined || holder === undefined) throw new Error("no nodes");
    let asked = 0;
    const answer = holder.cluster.handlers.layout;
    Object.assign(holder.cluster.handlers, {
      layout: (...args: Parameters<NonNullable<typeof answer>>) => {
        asked++;
        return answer?.(...args);
      },
    });
    const wishes = Array.from({ length: 1_000 }, () => asker.cluster.refreshLayout(holder.id));
    await world.settle(Promise.all(wishes));
    expect(asked).toBe(2);
  });
});
