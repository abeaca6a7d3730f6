import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  compareDots,
  covers,
  descends,
  entryOf,
  equalContexts,
  highestOf,
  mergeContexts,
  validateContext,
  withDot,
} from "../../src/core/context.ts";
import type { Context } from "../../src/core/version.ts";
import { arbitraryContext, arbitraryDot, UNIVERSE } from "../support/arbitraries.ts";

/** The slow second implementation: a context is the set of dots it covers. */
function dotsOf(context: Context): string[] {
  return UNIVERSE.filter((dot) => covers(context, dot)).map((dot) => JSON.stringify(dot));
}

const runs = { numRuns: 300 };

test("merging contexts is the union of what they have seen, and a valid context", () => {
  fc.assert(
    fc.property(arbitraryContext, arbitraryContext, (a, b) => {
      const merged = mergeContexts(a, b);
      validateContext(merged);
      expect(new Set(dotsOf(merged))).toEqual(new Set([...dotsOf(a), ...dotsOf(b)]));
    }),
    runs,
  );
});

test("merging contexts is commutative, associative and idempotent", () => {
  fc.assert(
    fc.property(arbitraryContext, arbitraryContext, arbitraryContext, (a, b, c) => {
      expect(mergeContexts(a, b)).toEqual(mergeContexts(b, a));
      expect(mergeContexts(mergeContexts(a, b), c)).toEqual(mergeContexts(a, mergeContexts(b, c)));
      expect(mergeContexts(a, a)).toBe(a);
    }),
    runs,
  );
});

test("a merge that adds nothing returns the argument itself", () => {
  fc.assert(
    fc.property(arbitraryContext, arbitraryContext, (a, b) => {
      const merged = mergeContexts(a, b);
      expect(mergeContexts(merged, a)).toBe(merged);
      expect(mergeContexts(a, merged)).toBe(equalContexts(a, merged) ? a : merged);
    }),
    runs,
  );
});

test("descends is the subset relation, and both ways round it is equality", () => {
  fc.assert(
    fc.property(arbitraryContext, arbitraryContext, (a, b) => {
      const seenByA = new Set(dotsOf(a));
      expect(descends(a, b)).toBe(dotsOf(b).every((dot) => seenByA.has(dot)));
      expect(descends(a, b) && descends(b, a)).toBe(equalContexts(a, b));
      expect(descends(mergeContexts(a, b), b)).toBe(true);
    }),
    runs,
  );
});

test("withDot covers the dot and all below it in its column, and nothing else that is new", () => {
  fc.assert(
    fc.property(arbitraryContext, arbitraryDot, (context, dot) => {
      const grown = withDot(context, dot);
      validateContext(grown);
      for (const other of UNIVERSE) {
        const isBelow =
          other.actor === dot.actor && other.epoch === dot.epoch && other.counter <= dot.counter;
        expect(covers(grown, other)).toBe(covers(context, other) || isBelow);
      }
      expect(withDot(grown, dot)).toBe(grown);
    }),
    runs,
  );
});

test("highestOf is the newest epoch of the actor, entryOf the counter of one epoch", () => {
  fc.assert(
    fc.property(arbitraryContext, arbitraryDot, (context, { actor, epoch }) => {
      const own = context.filter((entry) => entry.actor === actor);
      const newest = own.toSorted((a, b) => b.epoch - a.epoch)[0];
      const highest = highestOf(context, actor);
      expect(highest?.epoch).toBe(newest?.epoch);
      expect(highest?.counter).toBe(newest?.counter);
      expect(entryOf(context, actor, epoch)).toBe(
        own.find((entry) => entry.epoch === epoch)?.counter ?? 0,
      );
    }),
    runs,
  );
});

test("dots are ordered totally: by actor bytes, then epoch, then counter", () => {
  fc.assert(
    fc.property(fc.shuffledSubarray([...UNIVERSE]), (dots) => {
      expect(dots.toSorted(compareDots)).toEqual(UNIVERSE.filter((dot) => dots.includes(dot)));
    }),
    runs,
  );
});
