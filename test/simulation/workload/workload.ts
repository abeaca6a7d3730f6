/** The clients: they read, write with what they have seen, write blindly, delete, list and batch, at nodes of their choice. */

import type { KeyState } from "../key-state.ts";
import { majority, readTerms, STRICT_READ } from "../terms.ts";
import type { World } from "../world.ts";
import { batch } from "./batches.ts";
import type { Client } from "./client.ts";
import { Desk } from "./desk.ts";
import { scheduleRaces } from "./races.ts";
import { list, type ReadCall, read } from "./reads.ts";
import { type WriteCall, write, writeConditionally } from "./writes.ts";

/** In worlds where the dead are forgotten. */
export const WAVES = 3;
/** Of the time from one wave to the next. */
export const WAVE_SHARE = 0.25;
/** From one delete to the next of a key that is deleted twice, at most. */
const TWICE_WITHIN_MS = 300;

export class Workload {
  readonly #world: World;
  readonly #desk: Desk;

  constructor(world: World) {
    this.#world = world;
    this.#desk = new Desk(world);
    const { workload, namespace } = world.options;
    for (let i = 0; i < workload.keys; i++) {
      // Every other key is in the second namespace, if there is one.
      const second = namespace !== null && i % 2 === 1 ? namespace : null;
      const space = { name: second?.name ?? "default", isStrict: second?.strict ?? false };
      world.ledger.addKey(`key-${i}`, space);
    }
  }

  /** Operations that have been neither answered nor given up. */
  get open(): number {
    return this.#desk.calls.open;
  }

  /** No operation begins any more but what is called from outside. */
  stop(): void {
    this.#desk.stopped = true;
  }

  read(call: ReadCall): void {
    read(this.#desk, call);
  }

  write(call: Omit<WriteCall, "client">): void {
    write(this.#desk, { ...call, client: this.#desk.random.pick(this.#desk.clients) });
  }

  /**
   * Schedules all operations over the next `durationMs`: evenly, or in waves with calms between them where tombstones are to be
   * reaped, which they are not while their keys are in use.
   */
  schedule(durationMs: number): void {
    const { random } = this.#desk;
    const { options, clock } = this.#world;
    scheduleRaces(this.#desk, durationMs);
    const waves = options.reaping === null ? 1 : WAVES;
    const periodMs = durationMs / waves;
    const waveMs = waves === 1 ? periodMs : periodMs * WAVE_SHARE;
    for (let wave = 1; wave < waves; wave++) this.#deleteMost(wave * periodMs - periodMs + waveMs);
    let left = options.workload.operations;
    while (left > 0) {
      const burst = Math.min(left, random.integer(1, options.workload.burst));
      left -= burst;
      const atMs = random.below(waves) * periodMs + random.between(0, waveMs);
      const hot = random.chance(0.5) ? this.#desk.pickKey() : null;
      for (let i = 0; i < burst; i++) clock.after(atMs, () => this.#startOne(hot));
    }
  }

  /** Strict reads at the keys' own homes, in the next `withinMs`: what damage has done is seen soon or never. */
  probe(keys: readonly KeyState[], withinMs: number): void {
    for (const key of keys) {
      for (const node of key.homes) {
        this.#world.clock.after(this.#desk.random.between(0, withinMs), () => {
          if (this.#desk.stopped || !this.#world.node(node).alive) return;
          const needed = majority(key.homes.length);
          read(this.#desk, { key, node, terms: { query: STRICT_READ, needed, strict: true } });
        });
      }
    }
  }

  /** What a calm is for: something to be reaped in it. */
  #deleteMost(atMs: number): void {
    const { random } = this.#desk;
    const { clock, ledger, options } = this.#world;
    for (const key of ledger.keys.values()) {
      if (!random.chance(0.7)) continue;
      clock.after(atMs, () => this.#delete(key));
      if (!random.chance(options.workload.deletedTwice)) continue;
      clock.after(atMs + random.between(0, TWICE_WITHIN_MS), () => this.#delete(key));
    }
  }

  #delete(key: KeyState): void {
    const desk = this.#desk;
    const node = desk.pickNode();
    const client = desk.random.pick(desk.clients);
    const known = desk.random.chance(0.5) ? null : (client.known.get(key.name) ?? null);
    if (node !== null) write(desk, { kind: "delete", key, node, client, known });
  }

  #startOne(hot: KeyState | null): void {
    const desk = this.#desk;
    if (desk.stopped) return;
    const node = desk.pickNode();
    if (node === null) return;
    const key = hot ?? desk.pickKey();
    const client = desk.random.pick(desk.clients);
    switch (desk.random.weighted(this.#world.options.workload.mix)) {
      case 0:
        write(desk, { kind: "put", key, node, client, known: null });
        break;
      case 1:
        write(desk, { kind: "put", key, node, client, known: desk.knownOf(client, key) });
        break;
      case 2: {
        const known = desk.random.chance(0.3) ? null : desk.knownOf(client, key);
        write(desk, { kind: "delete", key, node, client, known });
        break;
      }
      case 3:
        this.#readAndModify(key, node, client);
        break;
      case 4:
        list(desk, node);
        break;
      case 5:
        batch(desk, node, client);
        break;
      case 6:
        writeConditionally(desk, key, node, client);
        break;
      default:
        this.#writeWithRepeats(key, node, client);
    }
  }

  #writeWithRepeats(key: KeyState, node: number, client: Client): void {
    const desk = this.#desk;
    const kind = desk.random.chance(0.2) ? "delete" : "put";
    const known = desk.random.chance(0.5) ? desk.knownOf(client, key) : null;
    write(desk, { kind, key, node, client, known, repeats: true });
  }

  /** Read, modify, write: the put soon after, with the context of the get, at whatever node. */
  #readAndModify(key: KeyState, node: number, client: Client): void {
    const desk = this.#desk;
    const terms = readTerms(desk.random, key.homes.length, key.isStrict);
    read(desk, {
      key,
      node,
      terms,
      client,
      onAnswer: (answer) => {
        if (answer === null || answer.token === null || answer.status >= 500) return;
        const at = desk.pickNode();
        if (desk.stopped || at === null || !desk.random.chance(0.3)) return;
        const known = client.known.get(key.name) ?? null;
        this.#world.clock.after(desk.random.between(0, 20), () => {
          if (desk.stopped || !this.#world.node(at).alive) return;
          write(desk, { kind: "put", key, node: at, client, known });
        });
      },
    });
  }
}
