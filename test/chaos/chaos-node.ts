/** One `gyre serve` in its network namespace, with a file system of its own that can be filled, damaged and lost. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import {
  appendFileSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { gyreCommand, type Runtime } from "../e2e/dev-cluster.ts";

const INJECT = new URL("inject.mjs", import.meta.url).pathname;
const POLL_MS = 50;
/** Of its file system: room for the campaign's rows many times over, and little enough to be filled at once. */
const DISK_MIB = 192;
/** The name under which the kernel shows it, with the pid of its maker behind. */
const DISK_NAME = "gyre-chaos-";

/** Disks that a campaign left that was killed. */
export function removeStaleDisks(): void {
  for (const line of readFileSync("/proc/mounts", "utf8").split("\n")) {
    const [source = "", path = ""] = line.split(" ");
    if (!source.startsWith(DISK_NAME)) continue;
    if (existsSync(`/proc/${source.slice(DISK_NAME.length)}`)) continue;
    execFileSync("umount", ["--lazy", path]);
  }
}

export interface NodePlace {
  readonly number: number;
  readonly region: string;
  readonly namespace: string;
  readonly client: string;
  readonly peer: string;
  /** Holds the node's disk, log and control file. */
  readonly directory: string;
  readonly args: readonly string[];
}

export interface Control {
  readonly skewMs: number;
  readonly stallMs: number;
  readonly stallEveryMs: number;
}

const NO_CONTROL: Control = { skewMs: 0, stallMs: 0, stallEveryMs: 0 };

export class ChaosNode {
  readonly number: number;
  readonly region: string;
  readonly url: string;
  readonly data: string;
  readonly log: string;
  readonly #place: NodePlace;
  readonly #runtime: Runtime;
  readonly #control: string;
  #child: ChildProcess | null = null;
  #ended: Promise<void> = Promise.resolve();
  #paused = false;
  #mounted = false;

  constructor(place: NodePlace, runtime: Runtime) {
    this.#place = place;
    this.#runtime = runtime;
    this.number = place.number;
    this.region = place.region;
    this.url = `http://${place.client}`;
    this.data = join(place.directory, "disk", "data");
    this.log = join(place.directory, "log");
    this.#control = join(place.directory, "control.json");
  }

  get isRunning(): boolean {
    const child = this.#child;
    return child !== null && child.exitCode === null && child.signalCode === null;
  }

  mount(): void {
    const disk = join(this.#place.directory, "disk");
    mkdirSync(disk, { recursive: true });
    const options = ["-o", `size=${DISK_MIB}m,mode=0700`, `${DISK_NAME}${process.pid}`];
    execFileSync("mount", ["-t", "tmpfs", ...options, disk]);
    this.#mounted = true;
    this.control(NO_CONTROL);
  }

  start(): void {
    if (this.isRunning) return;
    const [command, ...prefix] = gyreCommand(this.#runtime);
    const inject = this.#runtime === "bun" ? ["--preload", INJECT] : ["--import", INJECT];
    const program = [
      command,
      ...inject,
      ...prefix,
      "serve",
      "--data",
      this.data,
      ...this.#place.args,
    ];
    const child = spawn("ip", ["netns", "exec", this.#place.namespace, ...program], {
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...process.env, GYRE_CHAOS_CONTROL: this.#control },
    });
    appendFileSync(this.log, `--- started ${new Date().toISOString()}\n`);
    const keep = (chunk: Buffer): void => appendFileSync(this.log, chunk);
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    child.stdin.on("error", () => undefined);
    this.#child = child;
    this.#paused = false;
    this.#ended = new Promise((resolve) => {
      child.once("exit", () => resolve());
      child.once("error", () => resolve());
    });
  }

  /** kill -9. Resolves when it is gone. */
  async kill(): Promise<void> {
    this.#child?.kill("SIGKILL");
    await this.#ended;
  }

  /** SIGTERM; kill -9 when it takes longer than half a minute. True when it ended by itself. */
  async stop(): Promise<boolean> {
    this.resume();
    this.#child?.kill("SIGTERM");
    const killer = setTimeout(() => this.#child?.kill("SIGKILL"), 30_000);
    await this.#ended;
    clearTimeout(killer);
    return this.#child?.signalCode !== "SIGKILL";
  }

  pause(): void {
    if (this.isRunning) this.#child?.kill("SIGSTOP");
    this.#paused = true;
  }

  resume(): void {
    if (this.#paused) this.#child?.kill("SIGCONT");
    this.#paused = false;
  }

  control(changes: Partial<Control>): void {
    const next = `${this.#control}.new`;
    writeFileSync(next, JSON.stringify({ ...NO_CONTROL, ...changes }));
    renameSync(next, this.#control);
  }

  /** Resolves when it takes requests. @throws Error when it ends before, or takes longer than a minute. */
  async ready(): Promise<void> {
    const giveUpAt = performance.now() + 60_000;
    while (performance.now() < giveUpAt) {
      if (!this.isRunning) throw new Error(`node ${this.number} ended: see ${this.log}`);
      const signal = AbortSignal.timeout(1_000);
      const answer = await fetch(`${this.url}/readyz`, { signal }).catch(() => undefined);
      await answer?.body?.cancel();
      if (answer?.ok === true) return;
      await new Promise((wake) => setTimeout(wake, POLL_MS));
    }
    throw new Error(`node ${this.number} is not ready after a minute: see ${this.log}`);
  }

  /** Takes all room that is left. */
  fillDisk(): void {
    const ballast = openSync(this.#ballast, "a");
    try {
      for (let bytes = 1 << 20; bytes >= 1 << 12; ) {
        try {
          writeSync(ballast, new Uint8Array(bytes));
        } catch {
          bytes >>= 1;
        }
      }
    } finally {
      closeSync(ballast);
    }
  }

  freeDisk(): void {
    rmSync(this.#ballast, { force: true });
  }

  /** Flips one bit of the database or its log, at the place that `chance` (0 to 1) names. Says where. REQUIRES: it is stopped. */
  flipBit(chance: number): string {
    const files = readdirSync(this.data).filter((name) => /^gyre\.db(-wal)?$/.test(name));
    const sizes = files.map((name) => statSync(join(this.data, name)).size);
    let bit = Math.floor(chance * sizes.reduce((sum, size) => sum + size, 0) * 8);
    let index = 0;
    while (index < files.length - 1 && bit >= (sizes[index] ?? 0) * 8)
      bit -= (sizes[index++] ?? 0) * 8;
    const file = openSync(join(this.data, files[index] ?? ""), "r+");
    const byte = new Uint8Array(1);
    const at = bit >> 3;
    readSync(file, byte, 0, 1, at);
    byte[0] = (byte[0] ?? 0) ^ (1 << (bit & 7));
    writeSync(file, byte, 0, 1, at);
    closeSync(file);
    return `bit ${bit & 7} of byte ${at} of ${files[index]} (${sizes[index]} bytes)`;
  }

  /** The disk is replaced: all but the identity is gone. REQUIRES: it is stopped. */
  loseDatabase(): void {
    for (const name of readdirSync(this.data)) {
      if (!name.startsWith("identity")) rmSync(join(this.data, name), { recursive: true });
    }
  }

  unmount(): void {
    if (!this.#mounted) return;
    this.#mounted = false;
    execFileSync("umount", ["--lazy", join(this.#place.directory, "disk")]);
  }

  get #ballast(): string {
    return join(this.#place.directory, "disk", "ballast");
  }
}
