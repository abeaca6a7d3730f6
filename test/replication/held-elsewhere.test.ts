import { expect, test } from "bun:test";
import { parseNodeId } from "../../src/core/ids.ts";
import { isHeldElsewhere } from "../../src/replication/held-elsewhere.ts";
import { ReplicationCluster } from "../support/replication-cluster.ts";

function made(nodes: number, copies: number) {
  const cluster = new ReplicationCluster(
    Array.from({ length: nodes }, () => "eu"),
    copies,
  );
  const { membership, self } = cluster.node(0).replication;
  return { layout: membership.layout(), self };
}

test("a node's rows are held elsewhere when each of its units has another owner", () => {
  const three = made(3, 2);
  expect(isHeldElsewhere(three.layout, three.self)).toBe(true);
  const one = made(3, 1);
  expect(isHeldElsewhere(one.layout, one.self)).toBe(false);
  const alone = made(1, 1);
  expect(isHeldElsewhere(alone.layout, alone.self)).toBe(false);
});

test("a node without a layout, or not in it, may not give up what it has", () => {
  const three = made(3, 2);
  expect(isHeldElsewhere(undefined, three.self)).toBe(false);
  expect(isHeldElsewhere(three.layout, parseNodeId("f".repeat(32)))).toBe(false);
});
