import type { Random } from "../../src/env/random.ts";

const POOL_BYTES = 4096;
/** getRandomValues refuses more in one call. */
const CALL_BYTES_MAX = 65_536;
const TWO_POW_32 = 2 ** 32;

/** Cryptographic chance, drawn from the system in blocks: a call for each id would cost more than the id. */
export function createSystemRandom(): Random {
  const pool = new Uint8Array(POOL_BYTES);
  const view = new DataView(pool.buffer);
  let used = POOL_BYTES;

  const reserve = (count: number): number => {
    if (used + count > POOL_BYTES) {
      crypto.getRandomValues(pool);
      used = 0;
    }
    const at = used;
    used += count;
    return at;
  };

  return {
    bytes: (count) => {
      if (count > POOL_BYTES / 4) return freshBytes(count);
      const at = reserve(count);
      const taken = pool.slice(at, at + count);
      // What was given out may become a key: it does not stay behind in the pool.
      pool.fill(0, at, at + count);
      return taken;
    },
    below: (limit) => {
      if (!(limit >= 1 && limit <= TWO_POW_32 && Number.isInteger(limit))) {
        throw new RangeError(`Cannot draw below a limit outside 1..2^32: ${limit}`);
      }
      // The last, incomplete run of 0..limit-1 is drawn again, else small numbers would come more often.
      const fair = TWO_POW_32 - (TWO_POW_32 % limit);
      for (;;) {
        const drawn = view.getUint32(reserve(4));
        if (drawn < fair) return drawn % limit;
      }
    },
  };
}

function freshBytes(count: number): Uint8Array {
  const bytes = new Uint8Array(count);
  for (let at = 0; at < count; at += CALL_BYTES_MAX) {
    crypto.getRandomValues(bytes.subarray(at, at + CALL_BYTES_MAX));
  }
  return bytes;
}
