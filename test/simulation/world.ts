/**
 * A cluster of real nodes (src/node.ts, nothing of it replaced) in a world of one seed: virtual time, simulated network and
 * disks, seeded chance. Nothing here or below touches real time, a socket or Math.random.
 */

import { utf8Encode } from "../../src/core/bytes.ts";
import type { Hasher } from "../../src/core/hasher.ts";
import { DiskFullError } from "../../src/env/disk.ts";
import type { Env } from "../../src/env/env.ts";
import type { LogFields, Logger } from "../../src/env/logger.ts";
import { createNode, type GyreNode } from "../../src/node.ts";
import type { NodeConfig } from "../../src/node-config.ts";
import { ACTOR_META, RESTORED_META } from "../../src/storage/meta-names.ts";
import { RESTORED_MARK } from "../../src/storage/restored-tables.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { judgeReplaced } from "./checkers/conditions.ts";
import { Losses } from "./checkers/losses.ts";
import { ReapBook } from "./checkers/reaping.ts";
import type { Violation } from "./checkers/report.ts";
import { Custodian } from "./custodian.ts";
import { FaultAtlas } from "./fault-atlas.ts";
import { Ledger } from "./ledger.ts";
import { observedDisk } from "./observed-disk.ts";
import { fewestOwners, type SimOptions } from "./options.ts";
import { SeededRandom } from "./seeded-random.ts";
import { SetBacks } from "./set-backs.ts";
import { simCrypto } from "./sim-crypto.ts";
import type { SimDiskHandle } from "./sim-disk.ts";
import { peerUrlOf, SimNetwork } from "./sim-network.ts";
import { SimNode } from "./sim-node.ts";
import { type CrashPoint, SimProcess } from "./sim-process.ts";
import { Trace } from "./trace.ts";
import { WeakHomes } from "./weak-homes.ts";

/** A run with more is broken all over: the first ones tell enough. */
const VIOLATIONS_MAX = 20;
/** Fields whose text comes from the runtime's own errors, and so differs between runtimes. */
const UNTRACED_FIELDS = new Set(["error", "reason", "cause"]);

export const SECRET = utf8Encode("a secret of the simulator: 32 bytes or more");

export class World {
  readonly options: SimOptions;
  readonly clock = new VirtualClock();
  readonly trace: Trace;
  readonly nodes: SimNode[] = [];
  readonly network: SimNetwork;
  readonly ledger: Ledger;
  readonly atlas: FaultAtlas;
  readonly custodian: Custodian;
  readonly losses: Losses;
  readonly setBacks: SetBacks;
  readonly weakHomes: WeakHomes;
  readonly violations: Violation[] = [];
  /** Faults injected and states reached, by name. */
  readonly counts = new Map<string, number>();
  readonly hasher: Hasher;
  readonly #reaps: ReapBook;
  readonly #chance: SeededRandom;
  readonly #turns: SeededRandom;

  constructor(options: SimOptions, hasher: Hasher, keepTrace: boolean) {
    this.options = options;
    this.hasher = hasher;
    this.trace = new Trace(keepTrace);
    this.#chance = new SeededRandom(Math.imul(options.seed + 7, 0x85ebca6b));
    this.#turns = this.#chance.fork();
    const count = (event: string): void => this.count(event);
    const report = (checker: string, text: string): void => this.violate(checker, text);
    this.ledger = new Ledger({ report, count });
    this.ledger.onMinted = (op, key, minted) => {
      judgeReplaced(this.ledger, report, op, key, minted);
    };
    for (let index = 0; index < options.nodes + options.gateways; index++) {
      const role = index < options.nodes ? "storage" : "gateway";
      this.nodes.push(
        new SimNode(index, index % options.regions, role, options.durability === "process"),
      );
    }
    this.#reaps = new ReapBook({
      ledger: this.ledger,
      nodes: this.nodes,
      nowMs: () => this.nowMs,
      lifeMs: options.reaping?.messageLifeMs ?? null,
      report,
    });
    this.atlas = new FaultAtlas(this.ledger, this.nodes, fewestOwners(options));
    this.custodian = new Custodian(this.ledger, this.nodes, {
      report,
      nowMs: () => this.nowMs,
    });
    this.weakHomes = new WeakHomes(this.ledger, this.nodes, () => this.nowMs);
    this.setBacks = new SetBacks({
      nodes: this.nodes,
      weaken: (index) => {
        for (const key of this.ledger.keys.values()) this.weakHomes.weaken(index, key);
      },
      report,
      count,
    });
    this.losses = new Losses({
      ledger: this.ledger,
      nodes: this.nodes,
      hasher,
      report,
      ownAnswer: (index, key) => {
        const { process } = this.node(index);
        return process?.alive === true ? process.node?.ownAnswer(key) : undefined;
      },
    });
    this.network = new SimNetwork({
      clock: this.clock,
      random: this.#chance.fork(),
      options: options.network,
      trace: this.trace,
      processAt: (index) => {
        const process = this.nodes[index]?.process;
        return process?.alive === true && process.node !== null ? process : undefined;
      },
      regionOf: (index) => this.nodes[index]?.region ?? 0,
      count,
      onTake: (index, request, ageMs) => this.#reaps.take(index, request, ageMs),
      onRequest: (from, to, request) => this.setBacks.asked(from, to, request),
      onHeard: (by, from, exchange) => this.setBacks.heard(by, from, exchange),
      onAnswer: (from, to, request, response) => this.custodian.leaves(from, to, request, response),
    });
  }

  get nowMs(): number {
    return this.clock.monotonicMs();
  }

  fork(): SeededRandom {
    return this.#chance.fork();
  }

  node(index: number): SimNode {
    const node = this.nodes[index];
    if (node === undefined) throw new Error(`The world has no node ${index}`);
    return node;
  }

  count(event: string, times = 1): void {
    this.counts.set(event, (this.counts.get(event) ?? 0) + times);
  }

  violate(checker: string, text: string): void {
    this.trace.add(this.nowMs, `VIOLATION ${checker} ${text}`);
    if (this.violations.length < VIOLATIONS_MAX) {
      this.violations.push({ checker, atMs: this.nowMs, text });
    }
  }

  /** Starts a process on the node's disk, to die at its commit number `diesAtCommit`. REQUIRES: none runs. */
  boot(index: number, diesAtCommit: number | null = null): void {
    const node = this.node(index);
    const { options } = this;
    const forgotten = node.forgotten;
    node.forgotten = false;
    node.incarnation++;
    const process = new SimProcess({
      index,
      clock: this.clock,
      random: this.#turns,
      wallOffsetMs: this.#skewOf(index, options.skewMs) + node.jumpedMs,
      driftPpm: this.#skewOf(index + 1, options.driftPpm),
      turnMs: options.network.turnMs,
      onCrashPoint: (point) => this.#crashAt(index, point),
      hasUncommitted: (what) => this.ledger.hasUncommitted(index, what),
    });
    node.process = process;
    this.setBacks.booted(index);
    this.trace.add(this.nowMs, `boot ${index} ${node.incarnation} ${forgotten}`);
    let commitsLeft = diesAtCommit;
    const disk = observedDisk(node.disk.open(), this.#reaps.observerFor(index), () => {
      if (commitsLeft === null || commitsLeft-- > 0) return;
      this.crash(index);
      throw new Error("simulated: killed while it started");
    });
    try {
      if (options.durability === "process" && disk.uncleanStop) forgetActor(disk);
      process.node = this.#createNode(process, disk, forgotten);
      process.node.start();
    } catch (error) {
      if (process.alive && !(error instanceof DiskFullError)) throw error;
      // A node that cannot store its boot counter does not start; whoever supervises it tries again later.
      if (process.alive) this.count("start refused by a full disk");
      this.crash(index);
      node.forgotten = forgotten;
    } finally {
      // Only its start: later it dies at other points.
      commitsLeft = null;
    }
  }

  #createNode(process: SimProcess, disk: SimDiskHandle, forgotten: boolean): GyreNode {
    const { index } = process;
    const node = this.node(index);
    return createNode({
      config: this.#configOf(index),
      env: this.#envOf(process),
      data: {
        nodeId: node.id,
        clusterId: node.clusterId,
        setClusterId: (id) => {
          node.clusterId = id;
        },
        disk,
        incarnation: node.incarnation,
        forgotten,
        close: () => undefined,
      },
      runtime: "simulator",
    });
  }

  /** kill -9 and, for what was not committed, a power cut. */
  crash(index: number): void {
    const node = this.node(index);
    if (!node.alive) return;
    this.trace.add(this.nowMs, `crash ${index}`);
    this.countStates(index);
    node.process?.kill();
    node.disk.crash();
    this.ledger.rolledBack(index);
  }

  /** What the node's own counters say it has been through: once for each process, when it ends. */
  countStates(index: number): void {
    const running = this.node(index).process?.node;
    if (running === null || running === undefined) return;
    const { perPeer: _, ...figures } = running.repair.antiEntropy.figures;
    for (const [name, times] of Object.entries({ ...running.counters, ...figures })) {
      if (times > 0) this.count(`node ${name}`, times);
    }
  }

  #crashAt(index: number, point: CrashPoint): void {
    this.count(`crash ${point}`);
    this.crash(index);
  }

  /** Fixed for a node: its clock is wrong in the same way after each restart. */
  #skewOf(index: number, max: number): number {
    if (max === 0) return 0;
    return ((Math.imul(index + this.options.seed, 0x9e3779b1) >>> 0) % (2 * max + 1)) - max;
  }

  #configOf(index: number): NodeConfig {
    const { options } = this;
    const node = this.node(index);
    return {
      region: `region-${node.region}`,
      zone: "a",
      weight: 1,
      role: node.role,
      url: `http://node-${index}:7070`,
      peerUrl: peerUrlOf(index),
      join: index === 0 ? [] : [peerUrlOf(0), peerUrlOf(1)],
      bootstrapExpect: options.nodes,
      partitions: options.partitions,
      copies: options.copies,
      secrets: [SECRET],
      cacheBytes: options.cacheBytes,
      durability: options.durability,
      corsOrigins: [],
      requestTimeoutMs: options.requestTimeoutMs,
      gossipIntervalMs: options.gossipIntervalMs,
      antiEntropyIntervalMs: options.antiEntropyIntervalMs,
      ...(options.scrubIntervalMs > 0 ? { scrubIntervalMs: options.scrubIntervalMs } : {}),
      ...options.reaping,
      diskBytes: options.diskBytes,
      ...(options.hintAgeMs > 0 ? { hintAgeMs: options.hintAgeMs } : {}),
    };
  }

  #envOf(process: SimProcess): Env {
    return {
      clock: process.clock,
      random: this.#chance.fork(),
      crypto: simCrypto,
      hasher: this.hasher,
      logger: this.#loggerOf(process),
      transport: this.network.transportFor(process),
      failStop: (reason, cause) => {
        if (process.alive && reason === COPY_REASON && this.setBacks.isSetBack(process.index)) {
          this.#startAgainAsCopy(process.index);
          throw new Error(`fail-stop: ${reason}`);
        }
        // A dead process writes to a fenced disk: that is no finding.
        if (process.alive) this.violate("fail-stop", `node ${process.index}: ${reason}: ${cause}`);
        this.crash(process.index);
        throw new Error(`fail-stop: ${reason}`, { cause });
      },
    };
  }

  /** A node that its peers have told that it was rolled back ends, and is started again: what it has is held apart then. */
  #startAgainAsCopy(index: number): void {
    const keys = this.atlas.keysAt(index);
    this.count("copy ended itself");
    this.setBacks.noticed(index);
    this.crash(index);
    this.losses.lose(index, keys);
    const { disk } = this.node(index);
    // As the next open would; the atlas looks at the disk as it is then.
    if (disk.meta(RESTORED_META)?.[0] === RESTORED_MARK) disk.holdRestored();
    this.atlas.lostDatabase(index, keys);
    this.clock.after(COPY_RESTART_MS, () => {
      if (!this.node(index).alive) this.boot(index);
    });
  }

  #loggerOf(process: SimProcess): Logger {
    const log = (level: string, event: string, fields: LogFields = {}): void => {
      if (!process.alive) return;
      let text = `log ${process.index} ${level} ${event}`;
      for (const [name, value] of Object.entries(fields)) {
        if (!UNTRACED_FIELDS.has(name)) text += ` ${name}=${String(value)}`;
      }
      this.trace.add(this.nowMs, text);
      if (this.trace.lines !== null && fields["error"] !== undefined) {
        this.trace.lines.push(`    ${String(fields["error"])}`);
      }
      this.count(`log ${event}`);
      if (level === "error") this.#judge(process.index, event, fields);
    };
    return {
      debug: () => undefined,
      info: (event, fields) => log("info", event, fields),
      warn: (event, fields) => log("warn", event, fields),
      error: (event, fields) => log("error", event, fields),
    };
  }

  #isExplained(index: number, event: string): boolean {
    const { forgetRowMs, diskFullMs } = this.options.faults;
    if (ROT_ERRORS.has(event)) return forgetRowMs > 0;
    if (FULL_ERRORS.has(event)) return diskFullMs > 0;
    if (event === "database-is-a-copy") return this.setBacks.isSetBack(index);
    // Rows may have rotten by the time that they are held apart.
    if (event === "restored-row-unreadable") {
      return forgetRowMs > 0 && this.setBacks.wasSetBack(index);
    }
    return EXPLAINED_ERRORS.has(event);
  }

  /** What the node itself calls an error, and no fault of this world explains, is one. */
  #judge(index: number, event: string, fields: LogFields): void {
    if (this.#isExplained(index, event)) return;
    // Who owns a unit alone has nobody to ask when its database is gone.
    if (event === "all-owners-in-doubt" && fewestOwners(this.options) === 1) return;
    if (String(fields["error"] ?? "").includes("DiskFullError")) return;
    if (event === "tree-mismatch") {
      this.violate("tree-equals-rows", `node ${index} has trees that are not as its rows`);
      return;
    }
    this.violate("error-log", `node ${index} ${event} ${String(fields["error"] ?? "")}`);
  }
}

/** What data-directory.ts does before the store opens: a power cut may have undone commits that were answered. */
function forgetActor(disk: SimDiskHandle): void {
  disk.begin(true);
  disk.deleteMeta(ACTOR_META);
  disk.commit();
}

const COPY_REASON = "this database was rolled back, or is a copy of one that went on";
const COPY_RESTART_MS = 200;
const FULL_ERRORS = new Set(["disk-full", "layout-not-adopted"]);
const ROT_ERRORS = new Set([
  "row-damaged",
  "row-undecodable",
  // The atlas damages a second copy of a row once the first is whole again, which may be before its doubt has ended.
  "row-owners-in-doubt",
]);
/** In any world. */
const EXPLAINED_ERRORS = new Set(["recovering-layout", "join-refused"]);
