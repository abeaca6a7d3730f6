import { expect, test } from "bun:test";
import fc from "fast-check";
import type { QuorumGroup, Requirement } from "../../src/core/consistency.ts";
import { type NodeId, parseNodeId } from "../../src/core/ids.ts";
import { Tally } from "../../src/core/quorum.ts";

const nodeOf = (i: number): NodeId => parseNodeId(i.toString(16).padStart(32, "0"));

type Event =
  | { readonly kind: "ack" | "fail"; readonly node: number }
  | { readonly kind: "stand-in"; readonly node: number; readonly home: number };

/** The slow second implementation: looks through the whole history each time. */
function naive(requirement: Requirement, events: readonly Event[]) {
  const homeOf = new Map<NodeId, NodeId>(requirement.homes.map((home) => [home, home]));
  const acked = new Set<NodeId>();
  const failed = new Set<NodeId>();
  for (const event of events) {
    const node = nodeOf(event.node);
    if (event.kind === "stand-in") {
      if (!homeOf.has(node)) homeOf.set(node, nodeOf(event.home));
    } else if (homeOf.has(node)) {
      if (event.kind === "ack") acked.add(node);
      else failed.add(node);
    }
  }
  const won = (voters: (node: NodeId) => boolean) =>
    requirement.groups.every((group) => {
      const voted = [...homeOf].filter(
        ([node, home]) => group.homes.includes(home) && voters(node),
      );
      return voted.length >= group.needed;
    });
  const isHome = (node: NodeId) => requirement.homes.includes(node);
  const counts = {
    primary: [...acked].filter(isHome).length,
    fallback: [...acked].filter((node) => !isHome(node)).length,
    of: requirement.homes.length,
  };
  if (won((node) => acked.has(node))) return { outcome: "won", counts };
  if (won((node) => acked.has(node) || !failed.has(node))) return { outcome: "pending", counts };
  return { outcome: "lost", counts };
}

/** One to three groups of one to three homes each, and perhaps homes that belong to none. */
const arbitraryRequirement: fc.Arbitrary<Requirement> = fc
  .record({
    groups: fc.array(fc.record({ size: fc.integer({ min: 1, max: 3 }), part: fc.nat(2) }), {
      minLength: 1,
      maxLength: 3,
    }),
    extra: fc.nat(2),
  })
  .map(({ groups, extra }) => {
    const homes: NodeId[] = [];
    const built: QuorumGroup[] = [];
    for (const { size, part } of groups) {
      const own = Array.from({ length: size }, (_, i) => nodeOf(homes.length + i));
      homes.push(...own);
      built.push({ homes: own, needed: 1 + (part % size) });
    }
    for (let i = 0; i < extra; i++) homes.push(nodeOf(homes.length));
    return { homes, groups: built, needed: built.reduce((sum, group) => sum + group.needed, 0) };
  });

test("the tally agrees with a count over the whole history after every event", () => {
  const event: fc.Arbitrary<Event> = fc.oneof(
    fc.record({ kind: fc.constantFrom("ack", "fail"), node: fc.nat(13) }),
    fc.record({
      kind: fc.constant("stand-in"),
      node: fc.integer({ min: 0, max: 13 }),
      home: fc.nat(10),
    }),
  );
  const reached = { pending: 0, won: 0, lost: 0 };
  fc.assert(
    fc.property(arbitraryRequirement, fc.array(event, { maxLength: 24 }), (requirement, drawn) => {
      const tally = new Tally(requirement);
      const events: Event[] = [];
      const asked = new Set(requirement.homes);
      for (const step of drawn) {
        if (step.kind === "stand-in") {
          const home = requirement.homes[step.home % requirement.homes.length] as NodeId;
          events.push({ ...step, home: requirement.homes.indexOf(home) });
          tally.addStandIn(nodeOf(step.node), home);
          asked.add(nodeOf(step.node));
        } else if (asked.has(nodeOf(step.node))) {
          events.push(step);
          if (step.kind === "ack") tally.ack(nodeOf(step.node));
          else tally.fail(nodeOf(step.node));
        }
        const expected = naive(requirement, events);
        expect(tally.outcome() as string).toBe(expected.outcome);
        expect(tally.counts()).toEqual(expected.counts);
        expect(tally.missing() === 0).toBe(tally.outcome() === "won");
        reached[tally.outcome()]++;
      }
    }),
    { numRuns: 400 },
  );
  for (const count of Object.values(reached)) expect(count).toBeGreaterThan(20);
});
