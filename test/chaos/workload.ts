/**
 * Clients that read, merge, write and delete all the time, written from research/reliability.md 2 and without a look at the
 * simulator's. Four groups of keys, each used in one way only, so that exact promises can be held against it:
 *
 *     strict    majorities of home replicas on both sides: reads reflect all that was acknowledged before
 *     sloppy    the defaults: nothing acknowledged is lost in the end
 *     session   consistency=one with a session that wanders from node to node: own writes, and never back
 *     set       as sloppy; clients merge siblings by uniting them, and never delete
 */
import type { ChaosNode } from "./chaos-node.ts";
import type { Group, History } from "./history.ts";
import { type Asked, type Client, KeyClient, type KeyState, type Known } from "./key-client.ts";

interface Rules {
  readonly keys: number;
  readonly clients: number;
  readonly reads: string;
  readonly writes: string;
}

const STRICT = "&consistency=quorum&sloppy=false";

/** After so many writes a key is left alone and a new one takes its place: keys are made and deleted all the time. */
const WRITES_PER_KEY = 250;
const PAUSE_MS_MAX = 40;
/** A client that was refused waits a little, as a client would. */
const REFUSED_PAUSE_MS = 100;

export interface WorkloadOptions {
  readonly nodes: readonly ChaosNode[];
  readonly history: History;
  /** False where a disk is lost: a write that one replica acknowledged may then be lost, as W - 1 disks may. */
  readonly sessionsWriteOne: boolean;
  readonly chance: () => number;
}

export class Workload {
  readonly keys: KeyState[] = [];
  readonly wrongBytes: { key: string; text: string }[] = [];
  readonly #options: WorkloadOptions;
  readonly #client: KeyClient;
  readonly #rules: Readonly<Record<Group, Rules>>;
  readonly #active = new Map<Group, KeyState[]>();
  #running: Promise<void>[] = [];
  #stopped = false;
  #processes = 0;

  constructor(options: WorkloadOptions) {
    this.#options = options;
    this.#client = new KeyClient(options.history, (key, text) =>
      this.wrongBytes.push({ key, text }),
    );
    const sessionWrites = options.sessionsWriteOne ? "&consistency=one" : "";
    this.#rules = {
      strict: { keys: 6, clients: 6, reads: STRICT, writes: STRICT },
      sloppy: { keys: 8, clients: 8, reads: "", writes: "" },
      session: { keys: 6, clients: 6, reads: "&consistency=one", writes: sessionWrites },
      set: { keys: 4, clients: 4, reads: "", writes: "" },
    };
  }

  start(): void {
    for (const [group, rules] of Object.entries(this.#rules) as [Group, Rules][]) {
      this.#active.set(
        group,
        Array.from({ length: rules.keys }, () => this.#newKey(group)),
      );
      for (let i = 0; i < rules.clients; i++) this.#running.push(this.#run(group, rules, i));
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#running);
    this.#running = [];
  }

  #newKey(group: Group): KeyState {
    const state: KeyState = {
      name: `${group}-${this.keys.length}`,
      group,
      writes: 0,
      pasts: new Map(),
    };
    this.keys.push(state);
    return state;
  }

  /** One client after another: who got no answer may still be writing, so somebody else goes on. */
  async #run(group: Group, rules: Rules, index: number): Promise<void> {
    let home = index % this.#options.nodes.length;
    while (!this.#stopped) {
      const process = this.#processes++;
      const session = group === "session" ? { id: process, token: "new" } : null;
      const client = { process, session };
      while (!this.#stopped) {
        // Sessions wander from node to node; other clients only when theirs does not answer.
        if (session !== null) home = this.#below(this.#options.nodes.length);
        const answered = await this.#turn(group, rules, client, home);
        if (answered === "info") break;
        if (answered === "fail") await pause(REFUSED_PAUSE_MS * (1 + this.#options.chance()));
        await pause(PAUSE_MS_MAX * this.#options.chance());
      }
      home = this.#below(this.#options.nodes.length);
    }
  }

  /** A get, then mostly a write that has seen it, and sometimes another one that has seen that. */
  async #turn(
    group: Group,
    rules: Rules,
    client: Client,
    home: number,
  ): Promise<"ok" | "fail" | "info"> {
    const state = this.#pickKey(group);
    const node = this.#options.nodes[home] as ChaosNode;
    const asked: Asked = { client, node: home, url: node.url, query: rules.reads };
    let known = await this.#client.get(state, asked);
    // A read that fails proves nothing, but its client need not be retired: nothing of it can take effect.
    if (known === null) return "fail";
    if (this.#options.chance() < 0.4) return "ok";
    const writing = { ...asked, query: rules.writes };
    if (group !== "set" && known.context !== null && this.#options.chance() < 0.12) {
      return (await this.#client.delete(state, writing, known)).outcome;
    }
    for (let chained = 0; chained < 3; chained++) {
      const { called, next }: { called: { outcome: "ok" | "fail" | "info" }; next: Known | null } =
        await this.#client.put(state, writing, known);
      if (called.outcome !== "ok" || next === null) return called.outcome;
      known = next;
      if (this.#options.chance() < 0.7) break;
    }
    return "ok";
  }

  #pickKey(group: Group): KeyState {
    const active = this.#active.get(group) ?? [];
    const at = this.#below(active.length);
    let state = active[at] as KeyState;
    if (state.writes >= WRITES_PER_KEY) {
      state = this.#newKey(group);
      active[at] = state;
    }
    return state;
  }

  #below(limit: number): number {
    return Math.floor(this.#options.chance() * limit);
  }
}

function pause(delayMs: number): Promise<void> {
  return new Promise((wake) => setTimeout(wake, delayMs));
}
