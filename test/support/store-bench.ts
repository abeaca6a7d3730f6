/** A store over a simulated disk whose turns end when the test says so. */

import { utf8Encode } from "../../src/core/bytes.ts";
import type { Hasher } from "../../src/core/hasher.ts";
import { actorIdFromBytes, parseNamespaceId } from "../../src/core/ids.ts";
import { type Key, makeKey } from "../../src/core/key.ts";
import type { CausalRecord } from "../../src/core/version.ts";
import type { Clock } from "../../src/env/clock.ts";
import type { Disk } from "../../src/env/disk.ts";
import type { LogFields, Logger } from "../../src/env/logger.ts";
import type { Random } from "../../src/env/random.ts";
import { Store } from "../../src/storage/store.ts";
import type { StoreOptions } from "../../src/storage/store-options.ts";
import { siblingOf } from "./arbitraries.ts";

/** Ends turns one at a time; its time stands still but for what a test adds. */
export class TurnClock implements Clock {
  nowMs = 0;
  #ends: (() => void)[] = [];

  wallMs(): number {
    return this.nowMs;
  }

  monotonicMs(): number {
    return this.nowMs;
  }

  after(): never {
    throw new Error("Cannot wait: storage has no timers");
  }

  endOfTurn(act: () => void): void {
    this.#ends.push(act);
  }

  /** What was registered before is run; what that registers waits for the next turn. Returns how many ran. */
  endTurn(): number {
    const ends = this.#ends;
    this.#ends = [];
    for (const act of ends) act();
    return ends.length;
  }
}

export class FailStop extends Error {
  override readonly name = "FailStop";
}

export interface LogLine {
  readonly level: string;
  readonly event: string;
  readonly fields: LogFields;
}

export function recordingLogger(): Logger & { readonly lines: LogLine[] } {
  const lines: LogLine[] = [];
  const at =
    (level: string) =>
    (event: string, fields: LogFields = {}): void => {
      lines.push({ level, event, fields });
    };
  return { lines, debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

/** Counts upwards: different each time and the same each run. */
function countingRandom(): Random {
  let next = 1;
  return {
    bytes: (count) => Uint8Array.from({ length: count }, () => next++ & 0xff),
    below: (limit) => next++ % limit,
  };
}

export interface StoreBench {
  readonly store: Store;
  readonly clock: TurnClock;
  readonly logger: ReturnType<typeof recordingLogger>;
  readonly hasher: Hasher;
  key(text: string): Key;
  /** Writes a record of one sibling whose value is the text, and returns its sequence. */
  write(key: string, value: string): number;
  /** The values under the key, or the state when it is no record. */
  values(key: string): readonly string[] | "absent" | "unknown";
}

const NAMESPACE = parseNamespaceId(1);
const random = countingRandom();

export function storeOver(
  hasher: Hasher,
  disk: Disk,
  options: Partial<StoreOptions> = {},
): StoreBench {
  const clock = new TurnClock();
  const logger = recordingLogger();
  const store = Store.open({
    disk,
    clock,
    hasher,
    random,
    logger,
    failStop: (reason, cause) => {
      throw new FailStop(reason, { cause });
    },
    cacheBytes: 1024 * 1024,
    digestKey: new Uint8Array(32).fill(3),
    ...options,
  });
  const key = (text: string): Key => makeKey(hasher, NAMESPACE, text);
  let counter = 0;
  return {
    store,
    clock,
    logger,
    hasher,
    key,
    write: (text, value) => {
      counter++;
      const minted = { actor: store.actorId, epoch: 1, counter };
      return store.write(key(text), recordOf(hasher, counter, value), minted);
    },
    values: (text) => {
      const found = store.read(key(text));
      if (found.state !== "record") return found.state;
      return found.record.siblings.map((sibling) =>
        new TextDecoder().decode(sibling.value ?? undefined),
      );
    },
  };
}

export function recordOf(hasher: Hasher, counter: number, text: string): CausalRecord {
  const dot = { actor: actorIdFromBytes(new Uint8Array(16).fill(9)), epoch: 1, counter };
  const value = utf8Encode(text);
  return {
    context: [dot],
    siblings: [
      siblingOf(dot, { value, valueBytes: value.length, valueHash: hasher.hash64(value) }),
    ],
  };
}
