import { expect, test } from "bun:test";
import { HINT_BYTES_MAX } from "../../src/core/limits.ts";
import { hintBudget } from "../../src/replication/hints.ts";

const GIB = 1024 ** 3;

test("hints may take a tenth of a small disk, and a gibibyte of a large one", () => {
  expect(hintBudget(4 * GIB)).toBe(Math.floor(0.4 * GIB));
  expect(hintBudget(4000 * GIB)).toBe(HINT_BYTES_MAX);
});

test("a disk that does not tell its size counts as a large one", () => {
  expect(hintBudget(0)).toBe(HINT_BYTES_MAX);
});
