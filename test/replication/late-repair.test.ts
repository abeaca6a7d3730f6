/**
 * Nothing about a reaped key is in flight: what a node was told long ago it repeats to nobody, and what it was sent long ago
 * it does not take in, whatever it waited for meanwhile (a machine that slept, a process that was stopped).
 */
import { describe, expect, test } from "bun:test";
import { PeerError } from "../../src/cluster/peer-channel.ts";
import { compileLayout } from "../../src/core/active-layout.ts";
import { utf8Encode } from "../../src/core/bytes.ts";
import type { CausalRecord } from "../../src/core/version.ts";
import { Coordinator } from "../../src/replication/coordinator.ts";
import { encodeWrite } from "../../src/replication/data-messages.ts";
import { encodeHint } from "../../src/replication/hint-messages.ts";
import { PeerService } from "../../src/replication/peer-service.ts";
import { dotOf, siblingOf } from "../support/arbitraries.ts";
import { createTestHasher } from "../support/hasher.ts";
import { ReplicationCluster } from "../support/replication-cluster.ts";

const hasher = await createTestHasher();

function recordOf(text: string): CausalRecord {
  const dot = dotOf(9, 1, 1);
  const value = utf8Encode(text);
  const valueHash = hasher.hash64(value);
  const sibling = siblingOf(dot, { value, valueBytes: value.length, valueHash });
  return { context: [dot], siblings: [sibling] };
}

describe("a read repair", () => {
  /** Node 0 is behind, node 1 answers at once, node 2 never: the repair waits for it until the read's time is over. */
  async function afterSlowRead(lifeMs: number) {
    const c = new ReplicationCluster(["eu", "eu", "eu"]);
    const record = recordOf("old");
    c.node(1).store.write(c.key("k"), record, null);
    c.drop = (_from, to, kind) => (to === c.node(2).id && kind === "read" ? "silence" : "deliver");
    const coordinator = new Coordinator({ ...c.node(0).replication, lifeMs });
    await c.settle(
      Promise.resolve(
        coordinator.get({
          key: c.key("k"),
          namespace: c.namespace,
          consistency: { level: "all" },
          sloppy: false,
          conflict: "majority",
          timeoutMs: 1_000,
          session: null,
        }),
      ),
    );
    await c.settle(coordinator.idle());
    const { counters } = c.node(0).replication;
    return {
      repaired: c.node(0).store.read(c.key("k")).state === "record",
      dropped: counters.readRepairsDropped,
    };
  }

  test("that had to wait is made while what it knows is young", async () => {
    expect(await afterSlowRead(60_000)).toEqual({ repaired: true, dropped: 0 });
  });

  test("is not made any more when its read began longer than D ago", async () => {
    expect(await afterSlowRead(500)).toEqual({ repaired: false, dropped: 1 });
  });
});

describe("a record that waited here for a layout", () => {
  for (const kind of ["write", "hint"] as const) {
    test(`is not taken in as a ${kind} when its message has died meanwhile`, async () => {
      const c = new ReplicationCluster(["eu", "eu", "eu", "eu"], 3);
      const layout = c.node(0).replication.membership.layout();
      if (layout === undefined) throw new Error("no layout");
      const homes = layout.homes("default", (c.key("k").hash.hi >>> 28) as never);
      const at = c.nodes.find(({ id }) => homes.includes(id) === (kind === "write"));
      if (at === undefined) throw new Error("nobody to ask");
      let newest = layout;
      let waitMs = 0;
      const r = {
        ...at.replication,
        membership: {
          ...at.replication.membership,
          layout: () => newest,
        },
        // The fetch of the newer layout takes a while.
        refreshLayout: () =>
          new Promise<void>((resolve) => {
            c.clock.after(waitMs, () => {
              const { document } = newest;
              newest = compileLayout({ ...document, version: document.version + 1 });
              resolve();
            });
          }),
      };
      const { handlers } = at;
      const service = new PeerService(r, new Coordinator(r), () => null);
      Object.assign(handlers, service.handlers());
      const send = (text: string) => {
        const key = c.key("k");
        const write = encodeWrite(newest.version + 1, key, recordOf(text));
        const fields = kind === "write" ? write : encodeHint(write, homes[0] as never, 2);
        const diesMs = c.clock.monotonicMs() + 1_000;
        const context = { from: c.node(0).id, timeoutMs: 5_000, diesMs };
        return c.settle(Promise.resolve(handlers[kind]?.(fields, context)));
      };
      waitMs = 1_001;
      const late = await send("late").catch((error: unknown) => error);
      expect(late instanceof PeerError ? [late.outcome, late.code] : late).toEqual([
        "refused",
        "expired",
      ]);
      expect([at.store.rows.size, at.store.asideUsage().size]).toEqual([0, 0]);
      waitMs = 900;
      await send("soon");
      expect(at.store.rows.size + at.store.asideUsage().size).toBe(1);
    });
  }
});
