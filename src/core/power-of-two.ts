import { assert } from "./assert.ts";

const EXPONENT_MAX = 53;

/** By doubling, which is exact everywhere: the last bits of `**` differ between runtimes (design 11). */
const powers: number[] = [1];
while (powers.length <= EXPONENT_MAX) powers.push((powers.at(-1) as number) * 2);

/** 2 to the power of an integer from 0 to 53, exactly. */
export function powerOfTwo(exponent: number): number {
  const power = powers[exponent];
  assert(power !== undefined, "the exponent is an integer from 0 to 53");
  return power;
}
