/** Membership as the floors above see it: who is there, who owns what, and may a write be taken now. */
import type { ActiveLayout } from "../core/active-layout.ts";
import type { ClusterId, NodeId } from "../core/ids.ts";
import type { PlacementPolicy } from "../core/layout.ts";
import { saveAddressBook } from "./address-book.ts";
import type { ClockWatch } from "./clock-watch.ts";
import { makeClusterHandlers } from "./cluster-handlers.ts";
import type { ClusterOptions } from "./cluster-options.ts";
import { ClusterParts } from "./cluster-parts.ts";
import { Duties } from "./duties.ts";
import { memberStatuses } from "./member-status.ts";
import type { CreateNamespaceOutcome, Liveness, MemberStatus, Membership } from "./membership.ts";
import type { NamespaceSettingsStore } from "./namespace-settings.ts";
import type { DeleteNamespaceOutcome } from "./namespaces.ts";
import type { MessageHandlers } from "./peer-channel.ts";
import { RoundTrips } from "./round-trips.ts";
import { SharedRun } from "./shared-run.ts";

/** How many peers are asked for a newer layout when a namespace is not known. */
const REFRESH_PEERS = 2;

export class Cluster implements Membership {
  readonly self: NodeId;
  /** For the peer server: gossip, probe, join, layout, freeze, prepare, accept, decided, settings, propose. */
  readonly handlers: MessageHandlers;
  readonly settings: NamespaceSettingsStore;
  readonly #options: ClusterOptions;
  readonly #parts: ClusterParts;
  readonly #duties: Duties;
  readonly #roundTrips = new RoundTrips();
  readonly #refresh = new SharedRun(() => this.#fetchFromSome());
  /** By the holder; gone again when one who asked has been served. */
  readonly #fetches = new Map<NodeId, SharedRun>();

  /** @throws BadMessageError when the stored layout cannot be read: the database is damaged and must be moved aside. */
  constructor(options: ClusterOptions) {
    this.self = options.self;
    this.#options = options;
    this.#parts = new ClusterParts(options);
    this.#duties = new Duties(this.#parts);
    this.handlers = makeClusterHandlers(this.#parts);
    this.settings = this.#parts.settings;
  }

  clusterId(): ClusterId | undefined {
    return this.#parts.clusterId;
  }

  /** `listener` writes the id into the data directory. Give it before `start`; it is called before the id is used. */
  onClusterId(listener: (clusterId: ClusterId) => void): void {
    this.#parts.clusterIdListener = listener;
  }

  /** `listener` is told the layout at the start and whenever it changes. Give it before `start`. */
  onLayout(listener: (layout: ActiveLayout) => void): void {
    this.#parts.layoutListener = listener;
  }

  /** Peer-facing base address; undefined while nothing has been heard of the node. */
  addressOf(node: NodeId): string | undefined {
    if (node === this.self) return this.#options.config.peerUrl;
    return this.#parts.members.get(node)?.entry.peerUrl;
  }

  layout(): ActiveLayout | undefined {
    const { identity, layouts } = this.#parts;
    return identity.superseded ? undefined : layouts.current()?.active;
  }

  liveness(node: NodeId): Liveness {
    if (node === this.self) return "up";
    return this.#parts.members.get(node)?.state ?? "down";
  }

  roundTripMs(node: NodeId): number {
    const entry = this.#parts.members.get(node)?.entry;
    const { region, zone } = this.#options.config;
    return this.#roundTrips.of(node, entry?.region === region, entry?.zone === zone);
  }

  /** The peer client tells how long an answer took, in ms. */
  observeRoundTrip(node: NodeId, ms: number): void {
    this.#roundTrips.observe(node, ms);
  }

  /** A commit or a timer of this process was late by so much: the time counts against no member. */
  noteStall(lateMs: number): void {
    this.#parts.suspicion.noteStall(lateMs);
  }

  /**
   * This database was found to be a copy: it may have forgotten promises. This node executes nothing until it has found the
   * newest document (design 6). @throws DiskFullError
   */
  beginRecovery(): void {
    if (this.#parts.clusterId !== undefined) this.#parts.layouts.beginRecovery();
  }

  /** This node's wall clock against the median of its peers'. */
  get clocks(): ClockWatch {
    return this.#parts.clocks;
  }

  /** Null while nobody vouches for it. */
  confirmedWallMs(): number | null {
    const isAlone = (this.layout()?.document.members.length ?? 0) <= 1;
    return this.clocks.confirmedWallMs(isAlone);
  }

  members(): readonly MemberStatus[] {
    const { members, layouts } = this.#parts;
    return memberStatuses(this.#parts.own(), members, layouts.current());
  }

  /**
   * Adopts the newer document that a `stale_layout` refusal carries. Never throws: a document that cannot be read or, on a
   * full disk, stored leaves this node with the one it has, and whoever was refused tries elsewhere or gives up.
   */
  adoptRefusal(detail: unknown): void {
    try {
      if (detail instanceof Uint8Array) this.#parts.layouts.adoptEncoded(detail);
    } catch (error) {
      this.#options.env.logger.warn("layout-not-adopted", { error: String(error) });
    }
  }

  refusesWrites(): boolean {
    const layout = this.layout();
    if (layout === undefined || !layout.document.formed || this.#parts.layouts.frozen) return true;
    return layout.member(this.self) === undefined;
  }

  createNamespace(
    name: string,
    policy: { readonly name: string } | PlacementPolicy,
  ): Promise<CreateNamespaceOutcome> {
    return this.#parts.namespaces.create(name, policy);
  }

  deleteNamespace(name: string): Promise<DeleteNamespaceOutcome> {
    return this.#parts.namespaces.delete(name);
  }

  /**
   * Asks two peers for a newer layout: whoever is asked for an unknown namespace may only be late. `holder` is known to have
   * one, so it alone is asked. Never rejects.
   */
  async refreshLayout(holder?: NodeId): Promise<void> {
    if (holder === undefined) {
      await this.#refresh.ask();
      return;
    }
    const fetching = this.#fetches.get(holder) ?? new SharedRun(() => this.#fetchFrom(holder));
    this.#fetches.set(holder, fetching);
    await fetching.ask();
    this.#fetches.delete(holder);
  }

  async #fetchFrom(holder: NodeId): Promise<void> {
    await Promise.allSettled([this.#parts.recovery.fetchFrom(holder)]);
  }

  async #fetchFromSome(): Promise<void> {
    const { members, recovery } = this.#parts;
    const { random } = this.#options.env;
    const up = [...members.others()].filter((member) => member.state === "up");
    const asked: Promise<void>[] = [];
    while (asked.length < REFRESH_PEERS && up.length > 0) {
      const [peer] = up.splice(random.below(up.length), 1);
      if (peer !== undefined) asked.push(recovery.fetchFrom(peer.entry.id));
    }
    await Promise.allSettled(asked);
  }

  /** Creates a cluster if the node has none and no `--join`; then takes part. */
  start(): void {
    const { clusterId, layouts } = this.#parts;
    const stored = layouts.clusterId();
    if (this.#options.clusterId === undefined && stored !== undefined) this.#parts.belongTo(stored);
    const known = layouts.known();
    if (known !== undefined) this.#parts.layoutListener?.(known.active);
    if (clusterId === undefined && this.#options.config.join.length === 0) this.#parts.create();
    this.#duties.start();
  }

  /** Ends the duties, then tells some peers of the leave. No step runs after it has resolved. */
  async stop(): Promise<void> {
    const { identity, members, gossip, clusterId, proposer } = this.#parts;
    proposer.stop();
    await this.#duties.stop();
    if (clusterId === undefined || identity.superseded) return;
    this.#parts.leaving = true;
    identity.beat();
    await gossip.farewell(this.#parts.own());
    saveAddressBook(this.#options.env, this.#options.meta, members);
  }
}
