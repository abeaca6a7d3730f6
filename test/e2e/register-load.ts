/**
 * Many writers against nodes that are killed under them, and what must be there afterwards. Each new key is written once;
 * registers are overwritten blindly again and again and must never go back.
 */
import { createHash } from "node:crypto";
import { type Answer, ask, parallel, until } from "./requests.ts";

const WRITERS = 64;
const READERS = 32;
const VALUE_BYTES_MAX = 2_000;

/** What a register may hold: the last acknowledged value, or one that was never acknowledged and may have come later. */
interface Register {
  acknowledged: string;
  readonly unacknowledged: Set<string>;
}

export class RegisterLoad {
  readonly #urlOf: (node: number) => string;
  readonly #raise: (() => Promise<void>) | undefined;
  readonly #nodes: number;
  readonly #seed: number;
  readonly #registers = new Map<string, Register>();
  readonly acknowledged: string[] = [];
  /** What must be there and is not, or is not what it must be. */
  readonly missing: string[] = [];
  /** Writes under way when their node died, or answered 503: each may be there or not. */
  indeterminate = 0;
  /** Writes that met a dead node's closed port: certainly not there. */
  refused = 0;
  #writing = false;
  #random: number;

  constructor(options: {
    readonly nodes: number;
    readonly seed: number;
    readonly urlOf: (node: number) => string;
    /** Starts nodes again that have ended by themselves: a broken disk may show in any write. */
    readonly raise?: () => Promise<void>;
  }) {
    this.#nodes = options.nodes;
    this.#seed = options.seed;
    this.#urlOf = options.urlOf;
    this.#raise = options.raise;
    this.#random = options.seed >>> 0;
  }

  /** Writes until `act` has ended, which begins once so many writes more have been acknowledged. */
  async writeUntil(round: number, acks: number, act: () => Promise<void>): Promise<void> {
    const actAt = this.acknowledged.length + acks;
    this.#writing = true;
    const writers = Array.from({ length: WRITERS }, (_, index) => this.#writer(round, index));
    try {
      await until("writes to act in the middle of", () =>
        this.acknowledged.length >= actAt ? true : undefined,
      );
      await act();
    } finally {
      this.#writing = false;
      await Promise.all(writers);
    }
  }

  async #writer(round: number, writer: number): Promise<void> {
    for (let step = 0; this.#writing; step++) {
      const url = this.#urlOf((writer + step) % this.#nodes);
      if (step % 4 === 3) await this.#overwrite(url, `register-${writer}`, `${round}.${step}`);
      else if (await this.#put(url, `key-${round}-${writer}-${step}`)) {
        this.acknowledged.push(`key-${round}-${writer}-${step}`);
      }
    }
  }

  async #overwrite(url: string, key: string, value: string): Promise<void> {
    const register = this.#registers.get(key) ?? { acknowledged: "", unacknowledged: new Set() };
    this.#registers.set(key, register);
    register.unacknowledged.add(value);
    if (!(await this.#put(url, key, value))) return;
    register.acknowledged = value;
    register.unacknowledged.delete(value);
    // A single coordinator replaces what it holds; two of them do not know of each other's blind writes.
    if (this.#nodes === 1) register.unacknowledged.clear();
  }

  /** True when it was acknowledged. */
  async #put(url: string, key: string, value?: string): Promise<boolean> {
    const body = value ?? new Uint8Array(bytesOf(this.#seed, key));
    try {
      const answer = await ask(addressOf(url, key), { method: "PUT", body });
      if (answer.status === 204) return true;
      if (answer.status !== 503) throw new Error(`PUT ${key}: ${answer.status} ${answer.body}`);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      // A dead node refuses at once: without a pause its writers would keep the machine from starting it again.
      await new Promise((wake) => setTimeout(wake, 5));
      if (isRefused(error)) {
        this.refused++;
        return false;
      }
    }
    this.indeterminate++;
    return false;
  }

  /** Reads these keys, and all registers, each at another node. What is not as it must be is added to `missing`. */
  async verify(keys: readonly string[]): Promise<void> {
    await parallel(keys, READERS, async (key, index) => {
      const got = await this.#read(index % this.#nodes, key);
      if (got.status === 200 && this.isRight(key, got.body)) return;
      this.missing.push(`${key}: ${got.status}, ${got.body.length} bytes`);
    });
    await parallel([...this.#registers], READERS, async ([key, register], index) => {
      const got = await this.#read(index % this.#nodes, key);
      const value = got.status === 404 ? "" : got.body.toString();
      if (value === register.acknowledged || register.unacknowledged.has(value)) return;
      this.missing.push(`${key}: ${got.status} ${value}, want ${register.acknowledged}`);
    });
  }

  async #read(node: number, key: string): Promise<Answer> {
    const raise = this.#raise;
    if (raise === undefined) return await ask(addressOf(this.#urlOf(node), key));
    return await until("a node that answers", async () => {
      try {
        return await ask(addressOf(this.#urlOf(node), key));
      } catch (error) {
        if (!(error instanceof TypeError)) throw error;
        await raise();
        return undefined;
      }
    });
  }

  /** Forgets what was written: after a loss that the configuration allows it must not be missed once more. */
  forget(): void {
    this.acknowledged.length = 0;
    this.#registers.clear();
  }

  isRight(key: string, body: Buffer): boolean {
    return body.equals(bytesOf(this.#seed, key));
  }

  /** A linear congruential generator (Numerical Recipes): the moments of the kills follow from the seed. */
  below(limit: number): number {
    this.#random = (Math.imul(this.#random, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((this.#random / 2 ** 32) * limit);
  }
}

function isRefused(error: TypeError): boolean {
  const { cause } = error;
  return cause instanceof Error && "code" in cause && cause.code === "ECONNREFUSED";
}

export function addressOf(url: string, key: string): string {
  return `${url}/v1/kv/default/${key}`;
}

/** The bytes of a key's value, made again when it is read: of any length up to VALUE_BYTES_MAX, also none. */
function bytesOf(seed: number, key: string): Buffer {
  const digest = createHash("sha512").update(`${seed}/${key}`).digest();
  const bytes = digest.readUInt16LE(0) % (VALUE_BYTES_MAX + 1);
  return Buffer.alloc(bytes, digest.subarray(2));
}
