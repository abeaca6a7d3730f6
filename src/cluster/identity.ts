/** Which process this is: the durable boot counter, and whether another process has taken its place. */
import { decode, encode } from "@msgpack/msgpack";
import type { Env } from "../env/env.ts";
import type { MetaStore } from "../env/meta-store.ts";
import type { Liveliness } from "./member-entry.ts";

const INCARNATION = "cluster/incarnation";

export class ProcessIdentity {
  readonly #env: Env;
  readonly #meta: MetaStore;
  /** Random at each start: tells two processes with one id and one boot counter apart. */
  readonly nonce: number;
  #incarnation: number;
  #counter = 0;
  #superseded = false;

  /** `incarnation`: the caller's own count of starts; this never starts below what this database has used. */
  constructor(env: Env, meta: MetaStore, incarnation: number) {
    this.#env = env;
    this.#meta = meta;
    this.nonce = env.random.below(2 ** 32);
    const stored = meta.get(INCARNATION);
    const used = stored === undefined ? 0 : decode(stored);
    this.#incarnation = Math.max(incarnation, typeof used === "number" ? used + 1 : 0);
    this.#save();
  }

  get incarnation(): number {
    return this.#incarnation;
  }

  get counter(): number {
    return this.#counter;
  }

  /** Another process with this identity started later: this one must not acknowledge anything any more. */
  get superseded(): boolean {
    return this.#superseded;
  }

  beat(): void {
    this.#counter++;
  }

  /**
   * Somebody tells of a process with this node's id. A node that recovers has perhaps lost its boot counter with its
   * database: it acknowledges nothing yet, so it may go above what it hears instead of giving way to itself.
   */
  heard(other: Liveliness, isRecovering: boolean): void {
    if (this.#superseded || other.incarnation < this.#incarnation) return;
    const isLater = other.incarnation > this.#incarnation || other.nonce > this.nonce;
    if (!isLater) return;
    if (isRecovering && other.incarnation > this.#incarnation) {
      this.#incarnation = other.incarnation + 1;
      this.#save();
      return;
    }
    this.#superseded = true;
    this.#env.logger.error("superseded-by-another-process", {
      incarnation: this.#incarnation,
      otherIncarnation: other.incarnation,
      advice: "two processes run with one node id: stop this one, and never copy a data directory",
    });
  }

  #save(): void {
    this.#meta.set(INCARNATION, encode(this.#incarnation));
  }
}
