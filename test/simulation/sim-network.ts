/**
 * The network between nodes: it delays by a region matrix, loses requests and answers, duplicates, reorders (each message
 * has a delay of its own) and is cut in one direction or both. It never changes a byte: peers authenticate what they send.
 */

import type { Timer } from "../../src/env/clock.ts";
import type { PeerRequest, PeerResponse, Transport } from "../../src/env/transport.ts";
import { TransportError } from "../../src/env/transport.ts";
import type { VirtualClock } from "../support/virtual-clock.ts";
import type { NetworkOptions } from "./options.ts";
import type { SeededRandom } from "./seeded-random.ts";
import type { SimProcess } from "./sim-process.ts";
import type { Trace } from "./trace.ts";

export interface Exchange {
  readonly request: PeerRequest;
  readonly response: PeerResponse;
}

export interface NetworkParts {
  readonly clock: VirtualClock;
  readonly random: SeededRandom;
  readonly options: NetworkOptions;
  readonly trace: Trace;
  /** The living process behind a node's address; undefined when it is down. */
  readonly processAt: (index: number) => SimProcess | undefined;
  readonly regionOf: (index: number) => number;
  readonly count: (event: string) => void;
  /** A node is about to take a request that was sent so long ago; what is returned sees its answer. */
  readonly onTake: (
    node: number,
    request: PeerRequest,
    ageMs: number,
  ) => (response: PeerResponse) => void;
  /** A request leaves this process; whether it arrives is another matter. */
  readonly onRequest: (from: SimProcess, to: number, request: PeerRequest) => void;
  /** An answer has come to the process that asked, in time. */
  readonly onHeard: (by: SimProcess, from: number, exchange: Exchange) => void;
  /** An answer leaves this node. */
  readonly onAnswer: (
    from: number,
    to: number,
    request: PeerRequest,
    response: PeerResponse,
  ) => void;
}

interface Call {
  readonly sentMs: number;
  readonly from: SimProcess;
  readonly to: number;
  readonly request: PeerRequest;
  done: boolean;
  /** A copy of the request was handed to a process, or a refusal is on its way: never both, or "not sent" would be a lie. */
  fate: "under-way" | "delivered" | "refused";
  /** The process that took the first copy: the connection ends with it, so no later one can answer on it. */
  takenBy: SimProcess | null;
  readonly resolve: (response: PeerResponse) => void;
  readonly reject: (error: TransportError) => void;
  /** Cancelled by the answer: each event costs a turn of the real event loop. */
  timeout: Timer | null;
}

/** One message in so many of the slow ones takes this many times its delay. */
const SLOW_FACTOR = 20;

export function peerUrlOf(index: number): string {
  return `http://node-${index}:7071`;
}

export class SimNetwork {
  readonly #parts: NetworkParts;
  /** How many faults at once cut a link. */
  readonly #cut = new Map<string, number>();
  /** By node: all that comes from it or goes to it takes so many times as long. */
  readonly #slow = new Map<number, number>();
  #faulty = false;
  messages = 0;

  constructor(parts: NetworkParts) {
    this.#parts = parts;
  }

  /** Nothing that `from` sends reaches `to` any more, until the cuts are mended. */
  cut(from: number, to: number): void {
    const link = `${from}>${to}`;
    this.#cut.set(link, (this.#cut.get(link) ?? 0) + 1);
  }

  mend(from: number, to: number): void {
    const link = `${from}>${to}`;
    const left = (this.#cut.get(link) ?? 0) - 1;
    if (left > 0) this.#cut.set(link, left);
    else this.#cut.delete(link);
  }

  /** 1 is its ordinary speed. */
  slow(node: number, factor: number): void {
    if (factor === 1) this.#slow.delete(node);
    else this.#slow.set(node, factor);
  }

  /** Until now, while the cluster formed, the network was clean. */
  beginFaults(): void {
    this.#faulty = true;
  }

  /** From now on every message arrives once, after its ordinary delay. */
  heal(): void {
    this.#faulty = false;
    this.#cut.clear();
    this.#slow.clear();
  }

  transportFor(from: SimProcess): Transport {
    return {
      call: (request) =>
        new Promise((resolve, reject) => {
          // A dead process waits for ever.
          if (!from.alive) return;
          const to = Number(/node-(\d+):/.exec(request.url)?.[1] ?? "-1");
          this.#send({
            sentMs: this.#parts.clock.monotonicMs(),
            from,
            to,
            request,
            done: false,
            fate: "under-way",
            takenBy: null,
            resolve,
            reject,
            timeout: null,
          });
          from.sent();
        }),
    };
  }

  #send(call: Call): void {
    const { clock, random, options, trace, count } = this.#parts;
    const { from, to, request } = call;
    this.messages++;
    this.#parts.onRequest(from, to, request);
    const id = this.messages;
    call.timeout = clock.after(request.timeoutMs, () =>
      this.#fail(call, true, "no answer in time"),
    );
    const lost =
      this.#isCut(from.index, to) || (this.#faulty && random.chance(options.loseRequest));
    const delayMs = this.#delayMs(from.index, to);
    trace.add(
      clock.monotonicMs(),
      `m${id} ${from.index}>${to} ${request.path} ${request.body.length} ${lost ? "lost" : delayMs}`,
    );
    if (lost) {
      count("message lost");
      return;
    }
    clock.afterPlainly(delayMs, () => this.#arrive(call, id));
    if (this.#faulty && random.chance(options.duplicate)) {
      count("message duplicated");
      clock.afterPlainly(this.#delayMs(from.index, to) * 2, () => this.#arrive(call, id));
    }
  }

  #arrive(call: Call, id: number): void {
    const { clock, trace } = this.#parts;
    const target = this.#parts.processAt(call.to);
    if (call.fate === "refused" || (target === undefined && call.fate === "delivered")) return;
    call.fate = target === undefined ? "refused" : "delivered";
    if (target === undefined) {
      const backMs = this.#delayMs(call.to, call.from.index);
      clock.after(backMs, () => this.#fail(call, false, "connection refused"));
      return;
    }
    call.takenBy ??= target;
    target.deliver(() => {
      const { path, auth, body } = call.request;
      const ageMs = clock.monotonicMs() - call.sentMs;
      const onResponse = this.#parts.onTake(target.index, call.request, ageMs);
      // A listener reads into memory of its own.
      target.peer({ path, auth, body: body.slice() }).then(
        (response) => {
          onResponse(response);
          this.#answer(call, target, response, id);
        },
        (error: unknown) => trace.add(clock.monotonicMs(), `m${id} handler rejected ${error}`),
      );
    });
  }

  #answer(call: Call, target: SimProcess, response: PeerResponse, id: number): void {
    const { clock, random, options, trace, count } = this.#parts;
    if (!target.alive || call.done || target !== call.takenBy) return;
    this.#parts.onAnswer(target.index, call.from.index, call.request, response);
    target.sent();
    const lost =
      this.#isCut(call.to, call.from.index) || (this.#faulty && random.chance(options.loseAnswer));
    const delayMs = this.#delayMs(call.to, call.from.index);
    trace.add(
      clock.monotonicMs(),
      `m${id} answer ${response.status} ${response.body.length} ${lost ? "lost" : delayMs}`,
    );
    if (lost) {
      count("answer lost");
      return;
    }
    clock.afterPlainly(delayMs, () => {
      if (!call.from.alive || call.done) return;
      call.from.deliver(() => {
        if (call.done) return;
        call.done = true;
        call.timeout?.cancel();
        this.#parts.onHeard(call.from, call.to, { request: call.request, response });
        call.resolve({ ...response, body: response.body.slice() });
      });
    });
  }

  #fail(call: Call, sent: boolean, why: string): void {
    if (call.done || !call.from.alive) return;
    call.done = true;
    call.timeout?.cancel();
    call.reject(new TransportError(`simulated: ${why}`, { sent }));
  }

  #isCut(from: number, to: number): boolean {
    return this.#cut.size > 0 && this.#cut.has(`${from}>${to}`);
  }

  #delayMs(from: number, to: number): number {
    const { random, options, regionOf, count } = this.#parts;
    const base = options.farMs[regionOf(from)]?.[regionOf(to)] ?? options.nearMs;
    const u = random.fraction();
    // Long tails without Math.log: the cube of a fraction is mostly small and now and then near one.
    let delayMs = base * (1 + options.jitter * u * u * u);
    if (this.#slow.size > 0) {
      delayMs *= Math.max(this.#slow.get(from) ?? 1, this.#slow.get(to) ?? 1);
    }
    if (this.#faulty && options.slowOneIn > 0 && random.below(options.slowOneIn) === 0) {
      delayMs *= SLOW_FACTOR;
      count("message delayed");
    }
    return delayMs;
  }
}
