/**
 * Six network namespaces on one machine, each with two links: one to a bridge of the clients, which no nemesis touches, and one
 * to a bridge of the peers. A partition hangs the peer links on different bridges, so that packets vanish without a word; a
 * one-way cut is a blackhole route in one namespace; a flapping link is set down and up. Needs root on Linux.
 */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import process from "node:process";

const PREFIX = "gy";
let networks = 0;

function ip(...args: string[]): string {
  return execFileSync("ip", args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

/** Runs a clean-up step whose object may be gone. */
function quietly(act: () => unknown): void {
  try {
    act();
  } catch {
    // It was not there.
  }
}

export class Network {
  readonly #size: number;
  /** Another one each time: what the kernel has not yet removed of the last must not be in the way. */
  readonly #name = `${PREFIX}${process.pid}r${++networks}`;
  /** Second octet of all addresses: another campaign on this machine must not have the same. */
  readonly #net = 128 + (process.pid % 100);
  /** Blackhole routes that are there now, as `from>to`. */
  readonly #cuts = new Set<string>();

  constructor(size: number) {
    this.#size = size;
  }

  namespaceOf(node: number): string {
    return `${this.#name}-${node}`;
  }

  clientAddressOf(node: number): string {
    return `10.${this.#net}.0.${10 + node}`;
  }

  peerAddressOf(node: number): string {
    return `10.${this.#net}.1.${10 + node}`;
  }

  /** @throws Error without root, or where namespaces and bridges are not to be had. */
  create(): void {
    removeStale();
    const bridges = [this.#clientBridge, ...this.#nodes().map((node) => this.#peerBridge(node))];
    for (const bridge of bridges) {
      ip("link", "add", bridge, "type", "bridge", "forward_delay", "0");
      ip("link", "set", bridge, "up");
    }
    ip("address", "add", `10.${this.#net}.0.1/24`, "dev", this.#clientBridge);
    for (const node of this.#nodes()) {
      const namespace = this.namespaceOf(node);
      ip("netns", "add", namespace);
      ip("-n", namespace, "link", "set", "lo", "up");
      this.#link(
        `${this.#name}c${node}`,
        "clients",
        namespace,
        this.#clientBridge,
        `${this.clientAddressOf(node)}/24`,
      );
      this.#link(
        this.#peerLink(node),
        "peers",
        namespace,
        this.#peerBridge(0),
        `${this.peerAddressOf(node)}/24`,
      );
    }
  }

  #link(outer: string, inner: string, namespace: string, bridge: string, address: string): void {
    ip("link", "add", outer, "type", "veth", "peer", "name", inner, "netns", namespace);
    ip("link", "set", outer, "master", bridge, "up");
    ip("-n", namespace, "address", "add", address, "dev", inner);
    ip("-n", namespace, "link", "set", inner, "up");
  }

  /** Only nodes of one group reach each other; those that are in none are each alone. */
  partition(groups: readonly (readonly number[])[]): void {
    const alone = this.#nodes().filter((node) => !groups.some((group) => group.includes(node)));
    const all = [...groups, ...alone.map((node) => [node])];
    for (const [index, group] of all.entries()) {
      for (const node of group) {
        ip("link", "set", this.#peerLink(node), "master", this.#peerBridge(index));
      }
    }
  }

  /** What `from` sends to `to` is dropped; the other direction works. */
  cut(from: number, to: number): void {
    const name = `${from}>${to}`;
    if (this.#cuts.has(name)) return;
    ip("-n", this.namespaceOf(from), "route", "add", "blackhole", `${this.peerAddressOf(to)}/32`);
    this.#cuts.add(name);
  }

  setLink(node: number, up: boolean): void {
    ip("link", "set", this.#peerLink(node), up ? "up" : "down");
  }

  /** Everything is connected again. */
  heal(): void {
    this.partition([this.#nodes()]);
    for (const node of this.#nodes()) this.setLink(node, true);
    for (const cut of this.#cuts) {
      const [from, to] = cut.split(">").map(Number) as [number, number];
      const route = ["blackhole", `${this.peerAddressOf(to)}/32`];
      ip("-n", this.namespaceOf(from), "route", "del", ...route);
    }
    this.#cuts.clear();
  }

  /** Removes what `create` made, also after it failed half-way. Processes in the namespaces must have ended. */
  close(): void {
    removeNetwork(this.#name, this.#size);
  }

  get #clientBridge(): string {
    return `${this.#name}b`;
  }

  #peerBridge(index: number): string {
    return `${this.#name}b${index}`;
  }

  #peerLink(node: number): string {
    return `${this.#name}p${node}`;
  }

  #nodes(): number[] {
    return Array.from({ length: this.#size }, (_, node) => node);
  }
}

function removeNetwork(name: string, size: number): void {
  for (let node = 0; node < size; node++) {
    const namespace = `${name}-${node}`;
    quietly(() => {
      for (const pid of ip("netns", "pids", namespace).split(/\s+/).filter(Boolean)) {
        process.kill(Number(pid), "SIGKILL");
      }
    });
    // Both ends of a link go at once; with the namespace they would go when the kernel has time.
    for (const link of [`c${node}`, `p${node}`, `b${node}`]) {
      quietly(() => ip("link", "del", `${name}${link}`));
    }
    quietly(() => ip("netns", "del", namespace));
  }
  quietly(() => ip("link", "del", `${name}b`));
}

/** What a campaign left that was killed: namespaces whose maker is no more. */
function removeStale(): void {
  const sizes = new Map<string, number>();
  for (const [, name = "", pid, node] of ip("netns", "list").matchAll(/^(gy(\d+)r\d+)-(\d+)/gm)) {
    if (existsSync(`/proc/${pid}`)) continue;
    sizes.set(name, Math.max(sizes.get(name) ?? 0, Number(node) + 1));
  }
  for (const [name, size] of sizes) removeNetwork(name, size);
}
