/** Operations on their way: begun, called, answered or given up, and judged in an order that does not depend on the runtime. */

import type { Env } from "../../src/env/env.ts";
import { digest128 } from "../../src/http/put-request.ts";
import { type Condition, idempotencyKeyOf, type Op, type OpKind } from "./history.ts";
import type { KeyState } from "./key-state.ts";
import { simCrypto } from "./sim-crypto.ts";
import type { SimProcess } from "./sim-process.ts";
import type { Terms } from "./terms.ts";
import type { World } from "./world.ts";

/** Sees the answer at once, in its own turn, and returns what is to be done in the order of operations. */
type Judge = (response: Response, body: string) => () => void;

interface Attempt {
  readonly at?: number;
  readonly onSilence?: () => boolean;
}

/** Patience beyond the node's own deadline: what is not answered by then never will be. */
const GRACE_MS = 1_000;

export class Calls {
  readonly #world: World;
  /** Who waits for an operation that may never be answered. */
  readonly #onGivenUp = new Map<number, () => void>();
  /** Answers of this moment, by operation. */
  #finished: { readonly order: number; readonly act: () => void }[] = [];
  #open = 0;

  constructor(world: World) {
    this.#world = world;
  }

  /** Operations that have been neither answered nor given up. */
  get open(): number {
    return this.#open;
  }

  /** `act` runs instead of the judge when no answer ever comes. */
  onGivenUp(op: Op, act: () => void): void {
    this.#onGivenUp.set(op.id, act);
  }

  begin(begun: {
    readonly kind: OpKind;
    readonly key: KeyState;
    readonly node: number;
    readonly terms: Terms;
    readonly seen?: ReadonlySet<number> | null;
    readonly condition?: Condition;
  }): Op {
    const { kind, key, node, terms, seen = null, condition = "none" } = begun;
    const { ledger, trace, nowMs } = this.#world;
    this.#world.losses.judge();
    const op: Op = {
      id: ledger.ops.length,
      kind,
      key: key.name,
      node,
      startMs: nowMs,
      terms: terms.query,
      seen,
      condition,
      matched: [],
      ttlMs: 0,
      needed: terms.needed,
      strict: terms.strict,
      mark: key.strong.length,
      endMs: 0,
      status: "pending",
      httpStatus: 0,
      past: null,
      acks: 0,
      fallbacks: 0,
      repeats: 0,
    };
    ledger.ops.push(op);
    this.#open++;
    trace.add(
      nowMs,
      `op ${op.id} ${kind} ${key.name} at ${node} ${terms.query} seen=${seen?.size ?? "-"}`,
    );
    if (kind === "delete") {
      const env = { crypto: simCrypto } as Partial<Env> as Env;
      const digest = digest128(env, new TextEncoder().encode(idempotencyKeyOf(op.id)));
      ledger.registerDigest(digest, op.id);
    }
    return op;
  }

  close(op: Op, status: Op["status"], httpStatus: number, detail: number): void {
    if (op.status !== "pending") return;
    op.status = status;
    op.httpStatus = httpStatus;
    op.endMs = this.#world.nowMs;
    this.#open--;
    this.#onGivenUp.delete(op.id);
    this.#world.trace.add(op.endMs, `op ${op.id} ${status} ${httpStatus} ${detail}`);
  }

  giveUp(ops: readonly Op[]): void {
    for (const op of ops) {
      const givenUp = this.#onGivenUp.get(op.id);
      this.close(op, "info", 0, 0);
      givenUp?.();
    }
  }

  /** `at` is the node that is asked; `onSilence` may try again, and says whether it does. */
  call(ops: readonly Op[], request: Request, judge: Judge, attempt: Attempt = {}): void {
    const first = ops[0] as Op;
    const { process } = this.#world.node(attempt.at ?? first.node);
    this.#giveUpLater(ops, process, attempt.onSilence ?? (() => false));
    process?.deliver(() => this.#run(first, process, request, judge));
  }

  #giveUpLater(ops: readonly Op[], process: SimProcess | null, onSilence: () => boolean): void {
    const attempt = ops[0]?.repeats;
    const { clock, options } = this.#world;
    clock.after(options.requestTimeoutMs + GRACE_MS, () => {
      const op = ops[0] as Op;
      if (op.status !== "pending" || op.repeats !== attempt) return;
      if (process?.alive === true && !process.stalled) {
        this.#world.violate(
          "honest-answers",
          `${op.kind} ${op.id} (${op.terms}) was not answered in time`,
        );
      }
      if (!onSilence()) this.giveUp(ops);
    });
  }

  #run(op: Op, process: SimProcess, request: Request, judge: Judge): void {
    const { node } = process;
    if (node === null) return;
    const attempt = op.repeats;
    const run = async (): Promise<void> => {
      const response = await node.fetch(request);
      const body = await response.text();
      // Who has turned to another node does not listen to this one any more.
      if (!process.alive || op.status !== "pending" || op.repeats !== attempt) return;
      this.#finish(op.id, judge(response, body));
    };
    run().catch((error: unknown) => {
      if (process.alive)
        this.#world.violate("honest-answers", `op ${op.id} was not answered: ${error}`);
    });
  }

  #finish(order: number, act: () => void): void {
    this.#finished.push({ order, act });
    if (this.#finished.length > 1) return;
    this.#world.clock.afterAllElse(() => {
      const finished = this.#finished.sort((a, b) => a.order - b.order);
      this.#finished = [];
      for (const one of finished) one.act();
    });
  }
}
