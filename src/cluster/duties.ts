/** What membership does of itself, in bounded steps: heartbeats, watching, and the way into and through the layout. */
import { type RunningWorker, startWorker } from "../env/worker.ts";
import { saveAddressBook } from "./address-book.ts";
import { DUTY_REST_MS, DUTY_TICK_MS, SUSPICION_TICK_MS } from "./cluster-limits.ts";
import type { ClusterParts } from "./cluster-parts.ts";

/** How often a node that cannot find its layout says so. */
const COMPLAINT_MS = 30_000;

export class Duties {
  readonly #parts: ClusterParts;
  #workers: RunningWorker[] = [];
  #complainAtMs = 0;

  constructor(parts: ClusterParts) {
    this.#parts = parts;
  }

  start(): void {
    const { env, config } = this.#parts.options;
    const run = (name: string, step: () => Promise<number>, firstDelayMs: number): void => {
      this.#workers.push(startWorker(env.clock, env.logger, { name, step }, firstDelayMs));
    };
    // Nodes started together must not all beat at the same moment for ever.
    run("gossip", async () => this.#gossip(), env.random.below(config.gossipIntervalMs));
    run("suspicion", async () => this.#parts.suspicion.tick(), SUSPICION_TICK_MS);
    run("membership", () => this.#membership(), 0);
  }

  async stop(): Promise<void> {
    const workers = this.#workers;
    this.#workers = [];
    await Promise.all(workers.map((worker) => worker.stop()));
  }

  #gossip(): number {
    const { clusterId, identity, gossip, options } = this.#parts;
    const silent = clusterId === undefined || identity.superseded;
    return silent ? options.config.gossipIntervalMs : gossip.round();
  }

  async #membership(): Promise<number> {
    const { identity, layouts, joining, recovery, admission, options } = this.#parts;
    if (identity.superseded) return DUTY_TICK_MS;
    this.#saveAddresses();
    if (layouts.recovering) {
      await joining.step(false);
      if (await recovery.attempt()) await admission.driveOn();
      else this.#complain();
      return DUTY_TICK_MS;
    }
    const current = layouts.current();
    const own = current?.active.member(options.self);
    await joining.step(own !== undefined);
    if (current === undefined || own === undefined) return DUTY_TICK_MS;
    const isBusy = own.role === "storage" && (await admission.step(current));
    return isBusy || !current.document.formed || !joining.isDone ? DUTY_TICK_MS : DUTY_REST_MS;
  }

  #saveAddresses(): void {
    const parts = this.#parts;
    if (!parts.addressesChanged || parts.clusterId === undefined) return;
    parts.addressesChanged = false;
    saveAddressBook(parts.options.env, parts.options.meta, parts.members);
  }

  #complain(): void {
    const { env } = this.#parts.options;
    const nowMs = env.clock.monotonicMs();
    if (nowMs < this.#complainAtMs) return;
    this.#complainAtMs = nowMs + COMPLAINT_MS;
    env.logger.error("recovering-layout", {
      knownVersion: this.#parts.layouts.version,
      advice:
        "this database may have forgotten promises: nothing is served until a majority of the electors " +
        "confirms the newest layout; start the other nodes, or give --join with one of their addresses. If this " +
        "was the only node, its data was only here: restore a backup of the directory, or start with an empty one",
    });
  }
}
