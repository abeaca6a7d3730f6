/** The checkers are able to fail: hand-made histories, one for each thing they must find. */
import { describe, expect, test } from "bun:test";
import { NONE, type Operation, type Writes } from "../history.ts";
import { checkFinalState } from "./final-state.ts";
import { checkSessions } from "./sessions.ts";
import { checkSet } from "./sets.ts";
import { checkStrictReads } from "./strict-reads.ts";
import type { Violation } from "./violation.ts";

/** One operation a millisecond, each begun and ended before the next. */
class Story {
  readonly operations: Operation[] = [];
  #atMs = 0;

  #add(changes: Partial<Operation> & Pick<Operation, "kind">): this {
    this.#atMs += 10;
    this.operations.push({
      group: "strict",
      key: "k",
      process: 1,
      session: 1,
      node: 0,
      invokedMs: this.#atMs,
      completedMs: this.#atMs + 5,
      outcome: "ok",
      answer: "",
      write: null,
      past: NONE,
      shown: [],
      ...changes,
    });
    return this;
  }

  put(write: number, past: Writes = NONE, changes: Partial<Operation> = {}): this {
    return this.#add({ kind: "put", write, past, ...changes });
  }

  delete(past: Writes, changes: Partial<Operation> = {}): this {
    return this.#add({ kind: "delete", past, ...changes });
  }

  get(shown: readonly number[], changes: Partial<Operation> = {}): this {
    return this.#add({ kind: "get", shown, ...changes });
  }
}

/** The first word of each finding. */
function words(violations: readonly Violation[]): string[] {
  return violations.map(({ text }) => text.split(":")[0] ?? "");
}

const final = (story: Story, ...visible: number[]) =>
  words(checkFinalState("k", story.operations, visible));
const strict = (story: Story) => words(checkStrictReads("k", story.operations));
const session = (story: Story) => words(checkSessions("k", story.operations));

describe("the final state", () => {
  const chain = () => new Story().put(0).put(1, 0b1n).put(2, 0b11n);

  test("of a chain is its last write", () => {
    expect(final(chain(), 2)).toEqual([]);
  });

  test("that misses an acknowledged write has lost it", () => {
    expect(final(chain())).toEqual(["lost", "lost", "lost"]);
    expect(final(new Story().put(0).put(1), 1)).toEqual(["lost"]);
  });

  test("that shows a replaced write has resurrected it", () => {
    expect(final(chain(), 1, 2)).toEqual(["resurrected"]);
    expect(final(new Story().put(0).delete(0b1n), 0)).toEqual(["resurrected"]);
  });

  test("may miss what a delete had seen, also one of which nobody knows whether it was done", () => {
    expect(final(new Story().put(0).delete(0b1n))).toEqual([]);
    expect(final(new Story().put(0).delete(0b1n, { outcome: "info" }))).toEqual([]);
    expect(final(new Story().put(0).delete(0b1n, { outcome: "info" }), 0)).toEqual([]);
    expect(final(new Story().put(0).delete(0b1n, { outcome: "fail" }))).toEqual(["lost"]);
  });

  test("may show or miss a write without an answer, but not one that was refused", () => {
    const maybe = () => new Story().put(0, NONE, { outcome: "info" });
    expect(final(maybe(), 0)).toEqual([]);
    expect(final(maybe())).toEqual([]);
    expect(final(new Story().put(0, NONE, { outcome: "fail" }), 0)).toEqual(["phantom"]);
  });

  test("shows nothing that nobody wrote, and nothing twice", () => {
    expect(final(chain(), 2, 9)).toEqual(["phantom"]);
    expect(final(chain(), 2, 2)).toEqual(["twice"]);
  });
});

describe("strict reads", () => {
  test("may show what was acknowledged, or what replaced it", () => {
    expect(strict(new Story().put(0).get([0]).put(1, 0b1n).get([1]))).toEqual([]);
    expect(strict(new Story().put(0).delete(0b1n).get([]))).toEqual([]);
  });

  test("that miss an acknowledged write are stale", () => {
    expect(strict(new Story().put(0).get([]))).toEqual(["stale"]);
    expect(strict(new Story().put(0).put(1, 0b1n).get([0]))).toEqual(["stale", "zombie"]);
  });

  test("that show a deleted value show a zombie", () => {
    expect(strict(new Story().put(0).delete(0b1n).get([0]))).toEqual(["zombie"]);
  });

  test("may or may not show a write that was under way, and never one of the future", () => {
    const early = { invokedMs: 1, completedMs: 100 };
    expect(strict(new Story().put(0, NONE, early).get([]).get([0]))).toEqual([]);
    expect(strict(new Story().get([0]).put(0))).toEqual(["phantom"]);
  });

  test("that failed prove nothing", () => {
    expect(strict(new Story().put(0).get([], { outcome: "fail" }))).toEqual([]);
  });
});

describe("a session", () => {
  test("that misses its own write went back", () => {
    expect(session(new Story().put(0).get([]))).toEqual(["went back"]);
    expect(session(new Story().put(0).get([], { session: 2 }))).toEqual([]);
    expect(session(new Story().put(0, NONE, { outcome: "info" }).get([]))).toEqual([]);
  });

  test("that misses what it has read went back", () => {
    const other = { session: 2 };
    expect(session(new Story().put(0, NONE, other).get([0]).get([]))).toEqual(["went back"]);
  });

  test("that shows again what it knew to be replaced or deleted went back", () => {
    const other = { session: 2 };
    const replaced = new Story().put(0, NONE, other).put(1, 0b1n, other).get([1]).get([0, 1]);
    expect(session(replaced)).toEqual(["went back"]);
    expect(session(new Story().put(0).delete(0b1n).get([0]))).toEqual(["went back"]);
  });

  test("may show what replaced its write, and nothing after any delete of it", () => {
    const other = { session: 2 };
    expect(session(new Story().put(0).put(1, 0b1n, other).get([1]))).toEqual([]);
    expect(session(new Story().put(0).delete(0b1n, other).get([]))).toEqual([]);
  });
});

describe("a set", () => {
  const story = new Story().put(0).put(1).put(2, NONE, { outcome: "info" });

  test("holds all that was added, and may hold what may have been", () => {
    expect(checkSet("k", story.operations, new Set([0, 1]))).toEqual([]);
    expect(checkSet("k", story.operations, new Set([0, 1, 2]))).toEqual([]);
  });

  test("that lacks an element has lost it, and none comes from nowhere", () => {
    expect(words(checkSet("k", story.operations, new Set([0])))).toEqual(["lost"]);
    expect(words(checkSet("k", story.operations, new Set([0, 1, 7])))).toEqual(["phantom"]);
  });
});
