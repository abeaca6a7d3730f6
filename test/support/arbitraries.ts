/**
 * Random contexts and records over a small universe of dots, so that two of them meet often. A sibling is a function of
 * its dot (one dot, one value), as it is in the store.
 */
import fc from "fast-check";
import { utf8Encode } from "../../src/core/bytes.ts";
import { type ActorId, actorIdFromBytes } from "../../src/core/ids.ts";
import type { CausalRecord, Context, Dot, Sibling } from "../../src/core/version.ts";

/** An actor whose sixteen bytes are all `byte`: actors of higher numbers sort later. */
export function actorOf(byte: number): ActorId {
  return actorIdFromBytes(new Uint8Array(16).fill(byte));
}

export function dotOf(actor: number, epoch: number, counter: number): Dot {
  return { actor: actorOf(actor), epoch, counter };
}

/** Enough of a hash to tell the values of tests apart; codec tests that verify values bring the real one. */
function cheapHash(bytes: Uint8Array): { hi: number; lo: number } {
  let lo = 17;
  for (const byte of bytes) lo = (Math.imul(lo, 31) + byte) >>> 0;
  return { hi: bytes.length, lo };
}

export function siblingOf(dot: Dot, changes: Partial<Sibling> = {}): Sibling {
  const value = utf8Encode(`${dot.actor.charCodeAt(0)}/${dot.epoch}/${dot.counter}`);
  return {
    dot,
    stamp: 1_700_000_000_000_000 + dot.counter,
    deleted: false,
    value,
    valueBytes: value.length,
    valueHash: cheapHash(value),
    contentType: "text/plain",
    metadata: "",
    expiresAtMs: 0,
    writeQuorum: 2,
    sloppy: true,
    idempotencyKey: "",
    bodyDigest: "",
    ...changes,
  };
}

const NO_VALUE = new Uint8Array(0);

export function tombstoneOf(dot: Dot, changes: Partial<Sibling> = {}): Sibling {
  return siblingOf(dot, {
    deleted: true,
    value: NO_VALUE,
    valueBytes: 0,
    valueHash: cheapHash(NO_VALUE),
    contentType: "",
    ...changes,
  });
}

const ACTORS = [0x01, 0x7f, 0x80, 0xff];
const EPOCHS = [0, 1];
const COUNTER_TOP = 4;

/** Sorted as contexts are. */
export const UNIVERSE: readonly Dot[] = ACTORS.flatMap((actor) =>
  EPOCHS.flatMap((epoch) =>
    Array.from({ length: COUNTER_TOP }, (_, i) => dotOf(actor, epoch, i + 1)),
  ),
);

export const arbitraryDot: fc.Arbitrary<Dot> = fc.constantFrom(...UNIVERSE);

export const arbitraryContext: fc.Arbitrary<Context> = fc
  .array(fc.integer({ min: 0, max: COUNTER_TOP }), {
    minLength: ACTORS.length * EPOCHS.length,
    maxLength: ACTORS.length * EPOCHS.length,
  })
  .map((tops) => {
    const columns = ACTORS.flatMap((actor) => EPOCHS.map((epoch) => ({ actor, epoch })));
    return columns.flatMap(({ actor, epoch }, i) => {
      const counter = tops[i] ?? 0;
      return counter === 0 ? [] : [dotOf(actor, epoch, counter)];
    });
  });

/** Any subset of what its context covers, which is more than histories can reach. */
export const arbitraryRecord: fc.Arbitrary<CausalRecord> = fc
  .record({
    context: arbitraryContext,
    chosen: fc.array(fc.boolean(), { minLength: UNIVERSE.length, maxLength: UNIVERSE.length }),
  })
  .map(({ context, chosen }) => ({
    context,
    siblings: UNIVERSE.filter((dot, i) => chosen[i] && isBelow(context, dot)).map((dot) =>
      siblingOf(dot),
    ),
  }));

function isBelow(context: Context, dot: Dot): boolean {
  return context.some(
    (entry) =>
      entry.actor === dot.actor && entry.epoch === dot.epoch && entry.counter >= dot.counter,
  );
}

const sixteenBytes = fc
  .uint8Array({ minLength: 16, maxLength: 16 })
  .map((bytes) => actorIdFromBytes(bytes));
const digestOrNone = fc.oneof(fc.constant(""), sixteenBytes as fc.Arbitrary<string>);
const wideNumber = (max: number) =>
  fc.oneof(
    fc.integer({ min: 0, max: 300 }),
    fc.maxSafeNat().map((n) => n % (max + 1)),
    fc.constant(max),
  );

/** A record with every field drawn from its whole range: for the codec. Value hashes are arbitrary too. */
export const arbitraryWildRecord: fc.Arbitrary<CausalRecord> = fc
  .uniqueArray(
    fc.record({
      actor: sixteenBytes,
      epoch: wideNumber(2 ** 32 - 1),
      counter: wideNumber(2 ** 48 - 1).map((n) => n + 1),
      siblings: fc.array(wildSibling(), { maxLength: 3 }),
    }),
    { maxLength: 4, selector: (column) => `${column.actor}/${column.epoch}` },
  )
  .map((columns) => {
    columns.sort((a, b) => {
      if (a.actor === b.actor) return a.epoch - b.epoch;
      return a.actor < b.actor ? -1 : 1;
    });
    const context = columns.map(({ actor, epoch, counter }) => ({ actor, epoch, counter }));
    const siblings = columns.flatMap((column) =>
      column.siblings.slice(0, column.counter).map((sibling, i, all): Sibling => {
        const counter = column.counter - (all.length - 1 - i);
        return { ...sibling, dot: { actor: column.actor, epoch: column.epoch, counter } };
      }),
    );
    return { context, siblings };
  });

function wildSibling(): fc.Arbitrary<Omit<Sibling, "dot">> {
  const common = {
    stamp: wideNumber(2 ** 53 - 1),
    expiresAtMs: wideNumber(2 ** 53 - 1),
    writeQuorum: fc.integer({ min: 0, max: 16 }),
    sloppy: fc.boolean(),
    idempotencyKey: digestOrNone,
    bodyDigest: digestOrNone,
    valueHash: fc.record({ hi: fc.nat(0xffff_ffff), lo: fc.nat(0xffff_ffff) }),
  };
  const live = fc.record({
    ...common,
    deleted: fc.constant(false),
    value: fc.uint8Array({ maxLength: 40 }),
    contentType: fc.constantFrom("", "text/plain", "application/octet-stream", 'a/b; c="\t\u00e9"'),
    metadata: fc.string({ unit: "grapheme", maxLength: 60 }),
  });
  const tombstone = fc.record({
    ...common,
    deleted: fc.constant(true),
    value: fc.constant(NO_VALUE),
    contentType: fc.constant(""),
    metadata: fc.constant(""),
  });
  return fc
    .oneof(live, tombstone)
    .map((sibling) => ({ ...sibling, valueBytes: sibling.value.length }));
}
