import { expect, test } from "bun:test";
import { powerOfTwo } from "../../src/core/power-of-two.ts";

test("powers of two are exact from 0 to 53", () => {
  expect(powerOfTwo(0)).toBe(1);
  expect(powerOfTwo(10)).toBe(1024);
  expect(powerOfTwo(52)).toBe(4_503_599_627_370_496);
  expect(powerOfTwo(53)).toBe(Number.MAX_SAFE_INTEGER + 1);
});

test("a power that is not exact is a bug", () => {
  for (const exponent of [-1, 0.5, 54, Number.NaN]) expect(() => powerOfTwo(exponent)).toThrow();
});
