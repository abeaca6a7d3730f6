import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { systemCrypto } from "../../runtimes/shared/system-crypto.ts";
import { Keyring } from "../../src/cluster/keyring.ts";
import { utf8Encode } from "../../src/core/bytes.ts";
import { parseNamespaceId } from "../../src/core/ids.ts";
import { makeKey } from "../../src/core/key.ts";
import { SESSION_ENTRIES_MAX, TOKEN_BYTES_MAX, TOKEN_ENTRIES_MAX } from "../../src/core/limits.ts";
import { afterRead, afterWrite, NEW_SESSION } from "../../src/core/session.ts";
import type { Dot } from "../../src/core/version.ts";
import { HttpProblem, PROBLEM_CODES } from "../../src/http/problem.ts";
import { type CursorRange, Tokens } from "../../src/http/tokens.ts";
import { arbitraryContext, dotOf, siblingOf } from "../support/arbitraries.ts";
import { createHttpWorld } from "../support/http-world.ts";

const OLD = new Uint8Array(32).fill(1);
const NEW = new Uint8Array(32).fill(2);
const { env, advance } = await createHttpWorld();
const tokensWith = (...secrets: Uint8Array[]) =>
  new Tokens(env, new Keyring(systemCrypto, secrets), () => env.clock.wallMs());
const tokens = tokensWith(NEW);
const keyOf = (text: string, namespace = 1) =>
  makeKey(env.hasher, parseNamespaceId(namespace), text);
const KEY = keyOf("k");

function codeOf(act: () => unknown): string {
  try {
    act();
    return "accepted";
  } catch (error) {
    return error instanceof HttpProblem ? error.code : String(error);
  }
}

describe("a context token", () => {
  test("comes back as the context and the stamp it was made of", () => {
    fc.assert(
      fc.property(arbitraryContext, fc.maxSafeNat(), (entries, newestStamp) => {
        const token = tokens.ofContext(KEY, { entries, newestStamp });
        expect(tokens.readContext(KEY, token)).toEqual({ entries, newestStamp });
      }),
      { numRuns: 200 },
    );
  });

  test("has the bytes of the worked example in docs/api.md", () => {
    const token = tokens.ofContext(KEY, { entries: [dotOf(1, 0, 7)], newestStamp: 5 });
    expect(token).toBe("AduJh86nuwUBAQEBAQEBAQEBAQEBAQEBAQEAB2jnFV_f2VZmz124dWMLPCs");
    expect(readFileSync("docs/api.md", "utf8")).toContain(`\n    ${token}\n`);
  });

  test("with any one bit flipped is invalid_context", () => {
    const value = {
      entries: [dotOf(1, 0, 1), dotOf(2, 3, 400)],
      newestStamp: 1_767_225_600_000_001,
    };
    const token = tokens.ofContext(KEY, value);
    for (let i = 0; i < token.length; i++) {
      for (let bit = 0; bit < 7; bit++) {
        const changed = String.fromCharCode(token.charCodeAt(i) ^ (1 << bit));
        const forged = token.slice(0, i) + changed + token.slice(i + 1);
        expect(codeOf(() => tokens.readContext(KEY, forged))).toBe("invalid_context");
      }
    }
  });

  test("is good for its key and namespace only", () => {
    const token = tokens.ofContext(KEY, { entries: [dotOf(1, 0, 1)], newestStamp: 5 });
    for (const other of [keyOf("K"), keyOf("k\0"), keyOf("k", 2)]) {
      expect(codeOf(() => tokens.readContext(other, token))).toBe("invalid_context");
    }
  });

  test("outlives a rotation while its secret is in the ring, and no longer", () => {
    const token = tokensWith(OLD).ofContext(KEY, { entries: [dotOf(1, 0, 1)], newestStamp: 5 });
    expect(codeOf(() => tokensWith(NEW, OLD).readContext(KEY, token))).toBe("accepted");
    expect(codeOf(() => tokensWith(NEW).readContext(KEY, token))).toBe("invalid_context");
  });

  test("of more entries than fit keeps those that cover the siblings, and claims nothing else", () => {
    const entries: Dot[] = [];
    for (let actor = 0; actor < 250; actor++) {
      entries.push(dotOf(actor, 0, 2 ** 40), dotOf(actor, 1, 2 ** 40));
    }
    const last = dotOf(249, 1, 2 ** 40);
    const record = { context: entries, siblings: [siblingOf(last)] };
    const token = tokens.ofRecord(KEY, record);
    expect(token.length).toBeLessThanOrEqual(Math.ceil((TOKEN_BYTES_MAX * 4) / 3));
    const read = tokens.readContext(KEY, token).entries;
    expect(read).toHaveLength(TOKEN_ENTRIES_MAX);
    expect(read.at(-1)).toEqual(last);
    expect(read.every((entry) => entries.some((own) => own.actor === entry.actor))).toBe(true);
  });

  test("of a record is made once, also when two keys share the record object", () => {
    const record = { context: [dotOf(1, 0, 1)], siblings: [siblingOf(dotOf(1, 0, 1))] };
    const first = tokens.ofRecord(KEY, record);
    expect(tokens.ofRecord(KEY, record)).toBe(first);
    const other = keyOf("other");
    expect(codeOf(() => tokens.readContext(other, tokens.ofRecord(other, record)))).toBe(
      "accepted",
    );
  });
});

describe("a session", () => {
  const hash = { hi: 0x01020304, lo: 0x05060708 };
  const seen = siblingOf(dotOf(1, 0, 7), { stamp: 5 });
  const now = () => tokens.sessionNowMs();
  const session = () => afterWrite(NEW_SESSION, hash, { ...seen, context: null }, now());

  test("has the bytes of the worked example in docs/api.md", () => {
    const token = tokens.ofSession(session());
    expect(token).toBe(
      "AduJh86nu4DQ6ra3MwUBAQEBAQEBAQEBAQEBAQEBAQEBAgMEBQYHCAAAAQAAB6HYNO5G3hyQLF5HfdWeRp4",
    );
    expect(readFileSync("docs/api.md", "utf8")).toContain(`\n    ${token}\n`);
  });

  test("comes back as what it has seen, and fits a header when it is full", () => {
    expect(tokens.readSession(tokens.ofSession(session()))).toEqual(session());
    let full = NEW_SESSION;
    for (let i = 0; i < SESSION_ENTRIES_MAX; i++) {
      const siblings = Array.from({ length: 16 }, (_, actor) =>
        siblingOf(dotOf(actor, 2 ** 32 - 1, 2 ** 48)),
      );
      const context = siblings.map((sibling) => sibling.dot);
      full = afterRead(full, { hi: i, lo: 0 }, { context, siblings }, now());
    }
    const token = tokens.ofSession(full);
    expect(token.length).toBeLessThanOrEqual(8 * 1024);
    const { entries } = tokens.readSession(token);
    expect(entries.length).toBeGreaterThan(20);
    expect(entries).toEqual(full.entries.slice(0, entries.length));
  });

  test("with any one bit flipped is invalid_session, 400", () => {
    const token = tokens.ofSession(session());
    for (let i = 0; i < token.length; i++) {
      for (let bit = 0; bit < 7; bit++) {
        const changed = String.fromCharCode(token.charCodeAt(i) ^ (1 << bit));
        const forged = token.slice(0, i) + changed + token.slice(i + 1);
        expect(codeOf(() => tokens.readSession(forged))).toBe("invalid_session");
      }
    }
    expect(PROBLEM_CODES.invalid_session.status).toBe(400);
  });

  test("is no context and no cursor, nor is one of these a session", () => {
    const token = tokens.ofSession(session());
    expect(codeOf(() => tokens.readContext(KEY, token))).toBe("invalid_context");
    const context = tokens.ofContext(KEY, { entries: [], newestStamp: 0 });
    expect(codeOf(() => tokens.readSession(context))).toBe("invalid_session");
  });

  test("outlives a rotation while its secret is in the ring, and no longer", () => {
    const token = tokensWith(OLD).ofSession(session());
    expect(codeOf(() => tokensWith(NEW, OLD).readSession(token))).toBe("accepted");
    expect(codeOf(() => tokensWith(NEW).readSession(token))).toBe("invalid_session");
  });

  test("is as good as new an hour after its last answer", () => {
    const token = tokens.ofSession(session());
    advance(3_600_000);
    expect(tokens.readSession(token).entries).toHaveLength(1);
    advance(1);
    expect(tokens.readSession(token)).toEqual(NEW_SESSION);
  });
});

describe("a cursor", () => {
  const range: CursorRange = {
    namespace: parseNamespaceId(1),
    start: utf8Encode("a"),
    end: utf8Encode("b"),
    reverse: false,
  };
  const last = utf8Encode("am");

  test("comes back as the last key", () => {
    expect(tokens.readCursor(range, tokens.ofCursor(range, last))).toEqual(last);
  });

  test("is good for its namespace, range and direction only", () => {
    const token = tokens.ofCursor(range, last);
    const others: CursorRange[] = [
      { ...range, namespace: parseNamespaceId(2) },
      { ...range, start: utf8Encode("ab") },
      { ...range, end: null },
      { ...range, end: utf8Encode("bb") },
      { ...range, reverse: true },
      // The same bytes with the border between start and end elsewhere.
      { ...range, start: new Uint8Array(0), end: utf8Encode("ab") },
    ];
    for (const other of others) {
      expect(codeOf(() => tokens.readCursor(other, token))).toBe("invalid_cursor");
    }
  });

  test("with any one bit flipped is invalid_cursor, and no context is a cursor", () => {
    const token = tokens.ofCursor(range, last);
    for (let i = 0; i < token.length; i++) {
      const changed = String.fromCharCode(token.charCodeAt(i) ^ 1);
      const forged = token.slice(0, i) + changed + token.slice(i + 1);
      expect(codeOf(() => tokens.readCursor(range, forged))).toBe("invalid_cursor");
    }
    const context = tokens.ofContext(KEY, { entries: [], newestStamp: 0 });
    expect(codeOf(() => tokens.readCursor(range, context))).toBe("invalid_cursor");
  });

  test("lives for an hour", () => {
    const token = tokens.ofCursor(range, last);
    advance(3_599_000);
    expect(codeOf(() => tokens.readCursor(range, token))).toBe("accepted");
    advance(1_000);
    expect(codeOf(() => tokens.readCursor(range, token))).toBe("invalid_cursor");
  });
});
