/**
 * Time that passes only when everything that can run has run. Ordinary async code under it gives the same trace on
 * Node, Bun and Deno: promise jobs are drained by one `setImmediate` turn before the next event.
 */
import type { Clock, Timer } from "../../src/env/clock.ts";

interface Event {
  readonly atMs: number;
  /** Order among events of one moment: first scheduled, first run. */
  readonly order: number;
  /** Null once cancelled: taken out of the heap only when its time comes. */
  act: (() => void) | null;
  /**
   * What follows it before the next event. "jobs": that one belongs to the same turn of the event loop, so the promise jobs run,
   * the end of the turn does not. "nothing": it leaves neither.
   */
  readonly then: "turn" | "jobs" | "nothing";
}

/** 2026-01-01T00:00:00Z: any fixed moment would do, but stamps must look like time. */
const WALL_START_MS = 1_767_225_600_000;

/** Above the number of events of any run. */
const AFTER_ALL_ELSE = 2 ** 40;

function earlier(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

/** A binary min-heap by (time, order). */
class EventHeap {
  readonly #events: Event[] = [];

  peek(): Event | undefined {
    return this.#events[0];
  }

  push(event: Event): void {
    const heap = this.#events;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent] as Event;
      if (!earlier(event, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = event;
  }

  pop(): Event | undefined {
    const heap = this.#events;
    const top = heap[0];
    const last = heap.pop();
    if (top === undefined || last === undefined || top === last) return top;
    let at = 0;
    for (;;) {
      const left = at * 2 + 1;
      if (left >= heap.length) break;
      const right = left + 1;
      const child =
        right < heap.length && earlier(heap[right] as Event, heap[left] as Event) ? right : left;
      const below = heap[child] as Event;
      if (!earlier(below, last)) break;
      heap[at] = below;
      at = child;
    }
    heap[at] = last;
    return top;
  }
}

/** One macrotask turn: every promise job that was ready, and every one these made ready, has run when it resolves. */
function drainMicrotasks(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

export class VirtualClock implements Clock {
  readonly #heap = new EventHeap();
  #nowMs = 0;
  #order = 0;
  #endOfTurn: (() => void)[] = [];
  #running = false;

  wallMs(): number {
    return WALL_START_MS + this.#nowMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, act: () => void): Timer {
    return this.#schedule(delayMs, act, "turn");
  }

  /**
   * As `after`, for an act of the world itself that resolves no promise and runs nothing of a node: it only schedules. A turn of
   * the real event loop, which it saves, costs more than most of them.
   */
  afterPlainly(delayMs: number, act: () => void): void {
    this.#schedule(delayMs, act, "nothing");
  }

  /**
   * Runs the acts now, one after another in one turn, as when several sockets are readable at once: after each its promise
   * jobs, and only after the last the end of the turn.
   */
  inOneTurn(acts: readonly (() => void)[]): void {
    acts.forEach((act, index) => {
      this.#schedule(0, act, index < acts.length - 1 ? "jobs" : "turn");
    });
  }

  /**
   * Runs `act` when nothing else is left to do at the present time. For what became known after some number of promise
   * jobs: runtimes need different numbers of them to read a body, so that its place among other events would differ.
   */
  afterAllElse(act: () => void): void {
    this.#schedule(0, act, "turn", AFTER_ALL_ELSE);
  }

  #schedule(delayMs: number, act: () => void, then: Event["then"], rank = 0): Timer {
    const event: Event = {
      atMs: this.#nowMs + Math.max(0, delayMs),
      order: rank + this.#order++,
      act,
      then,
    };
    this.#heap.push(event);
    return {
      cancel: () => {
        event.act = null;
      },
    };
  }

  endOfTurn(act: () => void): void {
    this.#endOfTurn.push(act);
  }

  /** The same time seen by a node whose wall clock is wrong, and that can stall or die. */
  clockFor(wallOffsetMs = 0, skewPpm = 0): NodeClock {
    return new NodeClock(this, wallOffsetMs, skewPpm);
  }

  /**
   * Runs all events up to and including `untilMs`; afterwards it is `untilMs`. What an event throws rejects the run:
   * in production it would end the process.
   */
  async run(untilMs: number): Promise<void> {
    if (this.#running) throw new Error("Cannot run a virtual clock from inside its own run");
    this.#running = true;
    try {
      await this.#settle();
      for (let event = this.#heap.peek(); event !== undefined; event = this.#heap.peek()) {
        if (event.atMs > untilMs) break;
        this.#heap.pop();
        const act = event.act;
        if (act === null) continue;
        this.#nowMs = event.atMs;
        act();
        if (event.then === "jobs") await drainMicrotasks();
        else if (event.then === "turn") await this.#settle();
      }
      this.#nowMs = Math.max(this.#nowMs, untilMs);
    } finally {
      this.#running = false;
    }
  }

  /** Runs until `done()` holds, looking after every step; @throws Error when it does not by `limitMs` from now. */
  async runUntil(done: () => boolean, limitMs: number, what: string): Promise<void> {
    const endMs = this.#nowMs + limitMs;
    while (!done()) {
      if (this.#nowMs >= endMs) throw new Error(`Not within ${limitMs} virtual ms: ${what}`);
      await this.run(Math.min(endMs, this.#nowMs + 10));
    }
  }

  /** Promise jobs first, then the ends of the turn, until there is neither: all at the present virtual time. */
  async #settle(): Promise<void> {
    await drainMicrotasks();
    while (this.#endOfTurn.length > 0) {
      const acts = this.#endOfTurn;
      this.#endOfTurn = [];
      for (const act of acts) act();
      await drainMicrotasks();
    }
  }
}

/**
 * One process's view of the virtual time. While it is stalled its timers wait, as those of a process in a long pause;
 * after `kill` none of them runs any more.
 */
export class NodeClock implements Clock {
  readonly #clock: VirtualClock;
  #wallOffsetMs: number;
  readonly #skewPpm: number;
  #stalledUntilMs = 0;
  #dead = false;

  constructor(clock: VirtualClock, wallOffsetMs: number, skewPpm: number) {
    this.#clock = clock;
    this.#wallOffsetMs = wallOffsetMs;
    this.#skewPpm = skewPpm;
  }

  wallMs(): number {
    const drift = (this.#clock.monotonicMs() * this.#skewPpm) / 1_000_000;
    return this.#clock.wallMs() + drift + this.#wallOffsetMs;
  }

  monotonicMs(): number {
    return this.#clock.monotonicMs();
  }

  after(delayMs: number, act: () => void): Timer {
    let inner: Timer;
    const fire = (): void => {
      if (this.#dead) return;
      const waitMs = this.#stalledUntilMs - this.#clock.monotonicMs();
      if (waitMs > 0) inner = this.#clock.after(waitMs, fire);
      else act();
    };
    inner = this.#clock.after(delayMs, fire);
    return { cancel: () => inner.cancel() };
  }

  /** See VirtualClock.afterPlainly: for what the world does to the process, such as filling its inbox. */
  afterPlainly(delayMs: number, act: () => void): void {
    this.#clock.afterPlainly(delayMs, () => {
      if (this.#dead) return;
      const waitMs = this.#stalledUntilMs - this.#clock.monotonicMs();
      if (waitMs > 0) this.afterPlainly(waitMs, act);
      else act();
    });
  }

  endOfTurn(act: () => void): void {
    this.#clock.endOfTurn(() => {
      if (!this.#dead) act();
    });
  }

  /** Somebody sets the wall clock, forwards or backwards. */
  jump(byMs: number): void {
    this.#wallOffsetMs += byMs;
  }

  /** Nothing of this process runs for the next `durationMs`. */
  stall(durationMs: number): void {
    this.#stalledUntilMs = this.#clock.monotonicMs() + durationMs;
  }

  /** The process is gone: none of its timers or ends of turn runs again. */
  kill(): void {
    this.#dead = true;
  }
}
