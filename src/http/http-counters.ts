import type { Metric } from "../core/metrics.ts";
import type { Call } from "./call.ts";
import { BATCH_PREFIX, KEYS_PREFIX, KV_PREFIX } from "./paths.ts";

/** From half a millisecond (memory) to the default deadline. */
const BOUNDS_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
const OPERATIONS = ["get", "put", "delete", "list", "batch", "other"] as const;
const CLASSES = 6;

/** Requests by operation and class of status, and how long they took in this node. Counting is a few additions. */
export class HttpCounters {
  readonly #requests = new Float64Array(OPERATIONS.length * CLASSES);
  readonly #buckets = OPERATIONS.map(() => new Float64Array(BOUNDS_SECONDS.length + 1));
  readonly #seconds = new Float64Array(OPERATIONS.length);

  count(call: Call, status: number): void {
    const operation = operationOf(call);
    const cell = operation * CLASSES + Math.floor(status / 100);
    this.#requests[cell] = (this.#requests[cell] ?? 0) + 1;
    const seconds = (call.env.clock.monotonicMs() - call.startedMs) / 1000;
    this.#seconds[operation] = (this.#seconds[operation] ?? 0) + seconds;
    let bucket = 0;
    while (bucket < BOUNDS_SECONDS.length && seconds > (BOUNDS_SECONDS[bucket] as number)) bucket++;
    const buckets = this.#buckets[operation] as Float64Array;
    buckets[bucket] = (buckets[bucket] ?? 0) + 1;
  }

  metrics(): readonly Metric[] {
    const metrics: Metric[] = [];
    OPERATIONS.forEach((operation, index) => {
      for (let status = 1; status < CLASSES; status++) {
        const value = this.#requests[index * CLASSES + status] ?? 0;
        if (value === 0 && status !== 2) continue;
        metrics.push({
          name: "gyre_http_requests_total",
          help: "Requests answered to clients.",
          type: "counter",
          labels: { operation, status: `${status}xx` },
          value,
        });
      }
    });
    OPERATIONS.forEach((operation, index) => {
      metrics.push({
        name: "gyre_http_request_duration_seconds",
        help: "Time from the parsed request head to the answer, in this node.",
        type: "histogram",
        labels: { operation },
        value: this.#seconds[index] ?? 0,
        bounds: BOUNDS_SECONDS,
        counts: Array.from(this.#buckets[index] ?? []),
      });
    });
    return metrics;
  }
}

function operationOf(call: Call): number {
  if (call.path.startsWith(KV_PREFIX)) {
    if (call.method === "PUT") return 1;
    return call.method === "DELETE" ? 2 : 0;
  }
  if (call.path.startsWith(KEYS_PREFIX)) return 3;
  return call.path.startsWith(BATCH_PREFIX) ? 4 : 5;
}
