/**
 * kill -9 in the middle of many writers, again and again: after each restart every acknowledged write must be there, byte
 * for byte. One node, or three of which one is killed at a time.
 *
 *     npm run e2e:kill -- [--rounds 50] [--runtime node|bun|deno] [--nodes 1|3] [--seed N]
 */
import { createHash } from "node:crypto";
import process from "node:process";
import { parseArgs } from "node:util";
import type { Runtime } from "./dev-cluster.ts";
import { ask, parallel, until } from "./requests.ts";
import { ServeCluster } from "./serve-cluster.ts";

const WRITERS = 64;
const READERS = 32;
const VALUE_BYTES_MAX = 2_000;
/** A round's kill comes when so many more writes were acknowledged, or a few: any moment of a commit must be met. */
const ACKS_BEFORE_KILL_MAX = 600;

export interface KillLoopOptions {
  readonly rounds: number;
  readonly nodes: 1 | 3;
  readonly runtime: Runtime;
  readonly seed: number;
  readonly say?: (line: string) => void;
}

export interface KillFigures {
  readonly kills: number;
  readonly acknowledged: number;
  /** Writes under way when their node died, or answered 503: each may be there or not. */
  readonly indeterminate: number;
  /** Writes that met a dead node's closed port: certainly not there. */
  readonly refused: number;
  readonly missing: readonly string[];
}

/** What a register may hold: the last acknowledged value, or one that was never acknowledged and may have come later. */
interface Register {
  acknowledged: string;
  readonly unacknowledged: Set<string>;
}

class KillLoop {
  readonly #options: KillLoopOptions;
  readonly #cluster: ServeCluster;
  readonly #acknowledged: string[] = [];
  readonly #registers = new Map<string, Register>();
  readonly #missing: string[] = [];
  #indeterminate = 0;
  #refused = 0;
  #kills = 0;
  #writing = false;
  #random: number;

  constructor(options: KillLoopOptions) {
    this.#options = options;
    this.#random = options.seed >>> 0;
    const regions = options.nodes === 1 ? ["eu"] : ["eu", "us", "ap"];
    this.#cluster = new ServeCluster({ nodes: options.nodes, regions, runtime: options.runtime });
  }

  async run(): Promise<KillFigures> {
    const { rounds, say } = this.#options;
    try {
      await this.#cluster.start();
      for (let round = 1; round <= rounds; round++) {
        const before = this.#acknowledged.length;
        await this.#round(round);
        await this.#verify(this.#acknowledged.slice(before));
        say?.(
          `round ${round}: ${this.#acknowledged.length - before} writes acknowledged, ${this.#missing.length} missing so far`,
        );
      }
      // What an earlier round wrote must have survived all later kills as well.
      await this.#verify(this.#acknowledged);
    } finally {
      await this.#cluster.close();
    }
    return {
      kills: this.#kills,
      acknowledged: this.#acknowledged.length,
      indeterminate: this.#indeterminate,
      refused: this.#refused,
      missing: this.#missing,
    };
  }

  async #round(round: number): Promise<void> {
    const victim = this.#below(this.#options.nodes);
    const killAt = this.#acknowledged.length + 1 + this.#below(ACKS_BEFORE_KILL_MAX);
    this.#writing = true;
    const writers = Array.from({ length: WRITERS }, (_, index) => this.#writer(round, index));
    try {
      await until("writes to kill in the middle of", () =>
        this.#acknowledged.length >= killAt ? true : undefined,
      );
      this.#cluster.node(victim).signal("SIGKILL");
      this.#kills++;
      await this.#cluster.restart(victim);
    } finally {
      this.#writing = false;
      await Promise.all(writers);
    }
    await this.#cluster.untilAllUp();
  }

  /** New keys, and now and then a register that is overwritten blindly: it must never go back. */
  async #writer(round: number, writer: number): Promise<void> {
    for (let step = 0; this.#writing; step++) {
      const node = this.#cluster.node((writer + step) % this.#options.nodes);
      if (step % 4 === 3) await this.#overwrite(node.url, `register-${writer}`, `${round}.${step}`);
      else if (await this.#put(node.url, `key-${round}-${writer}-${step}`)) {
        this.#acknowledged.push(`key-${round}-${writer}-${step}`);
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
    if (this.#options.nodes === 1) register.unacknowledged.clear();
  }

  /** True when it was acknowledged. */
  async #put(url: string, key: string, value?: string): Promise<boolean> {
    const body = value ?? new Uint8Array(bytesOf(this.#options.seed, key));
    try {
      const answer = await ask(address(url, key), { method: "PUT", body });
      if (answer.status === 204) return true;
      if (answer.status !== 503) throw new Error(`PUT ${key}: ${answer.status} ${answer.body}`);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      // A dead node refuses at once: without a pause its writers would keep the machine from starting it again.
      await new Promise((wake) => setTimeout(wake, 5));
      if (isRefused(error)) {
        this.#refused++;
        return false;
      }
    }
    this.#indeterminate++;
    return false;
  }

  async #verify(keys: readonly string[]): Promise<void> {
    await parallel(keys, READERS, async (key, index) => {
      const { url } = this.#cluster.node(index % this.#options.nodes);
      const got = await ask(address(url, key));
      if (got.status === 200 && got.body.equals(bytesOf(this.#options.seed, key))) return;
      this.#missing.push(`${key}: ${got.status}, ${got.body.length} bytes`);
    });
    await parallel([...this.#registers], READERS, async ([key, register], index) => {
      const { url } = this.#cluster.node(index % this.#options.nodes);
      const got = await ask(address(url, key));
      const value = got.status === 404 ? "" : got.body.toString();
      if (value === register.acknowledged || register.unacknowledged.has(value)) return;
      this.#missing.push(`${key}: ${got.status} ${value}, want ${register.acknowledged}`);
    });
  }

  /** A linear congruential generator (Numerical Recipes): the moments of the kills follow from the seed. */
  #below(limit: number): number {
    this.#random = (Math.imul(this.#random, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((this.#random / 2 ** 32) * limit);
  }
}

function isRefused(error: TypeError): boolean {
  const { cause } = error;
  return cause instanceof Error && "code" in cause && cause.code === "ECONNREFUSED";
}

function address(url: string, key: string): string {
  return `${url}/v1/kv/default/${key}`;
}

/** The bytes of a key's value, made again when it is read: of any length up to VALUE_BYTES_MAX, also none. */
function bytesOf(seed: number, key: string): Buffer {
  const digest = createHash("sha512").update(`${seed}/${key}`).digest();
  const bytes = digest.readUInt16LE(0) % (VALUE_BYTES_MAX + 1);
  return Buffer.alloc(bytes, digest.subarray(2));
}

/** @throws Error when the store answers what it must not; what is missing is in the figures. */
export function killLoop(options: KillLoopOptions): Promise<KillFigures> {
  return new KillLoop(options).run();
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      rounds: { type: "string", default: "50" },
      runtime: { type: "string", default: "node" },
      nodes: { type: "string", default: "1" },
      seed: { type: "string", default: "1" },
    },
  });
  const say = (line: string): void => console.log(line);
  const figures = await killLoop({
    rounds: Number(values.rounds),
    runtime: values.runtime as Runtime,
    nodes: values.nodes === "3" ? 3 : 1,
    seed: Number(values.seed),
    say,
  });
  for (const line of figures.missing.slice(0, 20)) say(`MISSING ${line}`);
  say(
    `${values.runtime}, ${values.nodes} node(s): ${figures.kills} kills, ${figures.acknowledged} acknowledged writes, ` +
      `${figures.indeterminate} under way at a kill, ${figures.missing.length} missing`,
  );
  return figures.missing.length === 0 ? 0 : 1;
}

if (import.meta.main) process.exitCode = await main();
