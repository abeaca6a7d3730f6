/** The door of replication: each request finds its path here. */
import type { Key } from "../core/key.ts";
import type { NamespaceEntry } from "../core/layout.ts";
import { COORDINATED_MAX } from "../core/limits.ts";
import type { Replication } from "./context.ts";
import { explainKey } from "./explain.ts";
import { forwardPut } from "./forward.ts";
import { listKeys } from "./list.ts";
import { PutPath } from "./put-path.ts";
import { readHere } from "./read-here.ts";
import { Reader } from "./reader.ts";
import type {
  Explanation,
  GetOutcome,
  GetRequest,
  KeyValueService,
  ListOutcome,
  ListRequest,
  PutOutcome,
  PutRequest,
} from "./requests.ts";
import { type Route, routeOf } from "./route.ts";

export class Coordinator implements KeyValueService {
  readonly #r: Replication;
  readonly #reader: Reader;
  readonly #putPath: PutPath;
  #running = 0;

  constructor(r: Replication) {
    this.#r = r;
    this.#reader = new Reader(r);
    this.#putPath = new PutPath(r, this.#reader);
  }

  get(request: GetRequest): GetOutcome | Promise<GetOutcome> {
    if (this.#running >= COORDINATED_MAX) return { status: "overloaded" };
    this.#r.counters.gets++;
    return readHere(this.#r, request) ?? this.#getAround(request);
  }

  async #getAround(request: GetRequest): Promise<GetOutcome> {
    this.#running++;
    try {
      const outcome = await this.#reader.get(request);
      if (outcome.status !== "namespace-not-found") return outcome;
      await this.#r.refreshLayout();
      return await this.#reader.get(request);
    } finally {
      this.#running--;
    }
  }

  async put(request: PutRequest): Promise<PutOutcome> {
    if (this.#running >= COORDINATED_MAX) return { status: "overloaded" };
    this.#running++;
    this.#r.counters.puts++;
    try {
      const outcome = await this.#put(request);
      if (outcome.status !== "namespace-not-found") return outcome;
      // Certain that nothing was stored: a namespace may have been created elsewhere a moment ago.
      await this.#r.refreshLayout();
      return await this.#put(request);
    } finally {
      this.#running--;
    }
  }

  #put(request: PutRequest): Promise<PutOutcome> | PutOutcome {
    const layout = this.#r.membership.layout();
    if (layout === undefined || this.#r.membership.refusesWrites()) return { status: "not-formed" };
    const route = routeOf(layout, request.key);
    if (route === undefined) return { status: "namespace-not-found" };
    if (route.homes.includes(this.#r.self)) {
      const isUnsure = this.#r.clockIsOff() || this.#r.mayBeCopy();
      const givesWay = isUnsure && route.homes.length > 1;
      return givesWay ? this.#giveWay(request, route) : this.#putPath.coordinate(request);
    }
    this.#r.counters.forwards++;
    return forwardPut(this.#r, request, route, (put) => this.#putPath.coordinate(put, true));
  }

  /** With a clock that is wrong, or just started: another home coordinates. This one does, with a corrected clock, if no other will. */
  async #giveWay(request: PutRequest, route: Route): Promise<PutOutcome> {
    const startMs = this.#r.env.clock.monotonicMs();
    const others = route.homes.filter((home) => home !== this.#r.self);
    this.#r.counters.forwards++;
    const outcome = await forwardPut(this.#r, request, { ...route, homes: others });
    const isRefused = outcome.status === "quorum-not-reached" && !outcome.indeterminate;
    if (!isRefused && outcome.status !== "overloaded") return outcome;
    const timeoutMs = request.timeoutMs - (this.#r.env.clock.monotonicMs() - startMs);
    return this.#putPath.coordinate({ ...request, timeoutMs: Math.max(1, timeoutMs) });
  }

  /** A put that another node forwarded: executed here or refused, never sent on. REQUIRES: as PutPath.coordinate. */
  coordinateForwarded(request: PutRequest, asStandIn: boolean): Promise<PutOutcome> {
    this.#r.counters.puts++;
    return this.#putPath.coordinate(request, asStandIn);
  }

  async list(request: ListRequest): Promise<ListOutcome> {
    if (this.#running >= COORDINATED_MAX) return { status: "overloaded" };
    this.#running++;
    this.#r.counters.lists++;
    try {
      return await listKeys(this.#r, request, (get) => this.#reader.get(get));
    } finally {
      this.#running--;
    }
  }

  explain(key: Key, namespace: NamespaceEntry, timeoutMs: number): Promise<Explanation> {
    return explainKey(this.#r, key, namespace, timeoutMs);
  }

  /** Resolves when the read repairs that run now have ended. */
  idle(): Promise<void> {
    return this.#reader.idle();
  }
}
