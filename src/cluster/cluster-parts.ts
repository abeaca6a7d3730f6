/** The parts of membership and the wires between them. cluster.ts shows them to others, duties.ts gives them their turns. */
import { encode } from "@msgpack/msgpack";
import type { ActiveLayout } from "../core/active-layout.ts";
import { FailureDetector } from "../core/failure-detector.ts";
import {
  type ClusterId,
  type NodeId,
  parseClusterId,
  parseRegionId,
  parseZoneId,
} from "../core/ids.ts";
import { firstLayout } from "../core/layout-rules.ts";
import { Acceptor } from "./acceptor.ts";
import { loadAddressBook } from "./address-book.ts";
import { Admission, layoutMember } from "./admission.ts";
import { ClockWatch } from "./clock-watch.ts";
import { ELECTOR_TIMEOUT_MS } from "./cluster-limits.ts";
import type { ClusterOptions } from "./cluster-options.ts";
import { type Freshness, Gossip } from "./gossip.ts";
import { ProcessIdentity } from "./identity.ts";
import { Joining } from "./joining.ts";
import { type AdoptedLayout, LayoutStore } from "./layout-store.ts";
import { encodeEntry, type MemberEntry } from "./member-entry.ts";
import { MemberList } from "./member-list.ts";
import { Namespaces } from "./namespaces.ts";
import { Proposer } from "./proposer.ts";
import { Recovery } from "./recovery.ts";
import { Serial } from "./serial.ts";
import { SettingsStore } from "./settings-store.ts";
import { Suspicion } from "./suspicion.ts";

/** Says that this very database, and not one before it, has been part of the cluster. */
const BELONGS = "cluster/id";

export class ClusterParts {
  readonly options: ClusterOptions;
  readonly identity: ProcessIdentity;
  readonly layouts: LayoutStore;
  readonly members: MemberList;
  readonly suspicion: Suspicion;
  readonly clocks: ClockWatch;
  readonly gossip: Gossip;
  readonly acceptor: Acceptor;
  readonly proposer: Proposer;
  readonly recovery: Recovery;
  readonly joining: Joining;
  readonly admission: Admission;
  readonly namespaces: Namespaces;
  readonly settings: SettingsStore;
  clusterId: ClusterId | undefined;
  clusterIdListener: ((clusterId: ClusterId) => void) | undefined;
  layoutListener: ((layout: ActiveLayout) => void) | undefined;
  leaving = false;
  addressesChanged = false;
  readonly #fetching = new Set<NodeId>();
  readonly #reconciling = new Set<NodeId>();

  constructor(options: ClusterOptions) {
    const { env, meta, channel, self, config, hasRows } = options;
    this.options = options;
    this.identity = new ProcessIdentity(env, meta, options.incarnation);
    const layouts = new LayoutStore(env, meta, ({ active }) => {
      this.settings.forgetDeleted();
      this.layoutListener?.(active);
    });
    this.layouts = layouts;
    this.clusterId = options.clusterId ?? layouts.clusterId();
    const detector = new FailureDetector();
    const members = this.#makeMembers(self, detector);
    this.members = members;
    const own = (): MemberEntry => this.own();
    const holdsData = (): boolean => this.holdsData();
    this.suspicion = new Suspicion({ env, channel, detector, members, self, own });
    const acceptor = new Acceptor(env, meta, layouts, self);
    this.acceptor = acceptor;
    const announce = (adopted: AdoptedLayout): void => this.#announce(adopted);
    const proposer = new Proposer({ env, channel, self, layouts, acceptor, announce });
    this.proposer = proposer;
    const decisions = new Serial();
    const deciding = { env, channel, self, layouts, members, acceptor, proposer, decisions };
    this.admission = new Admission({ ...deciding, hasRows, holdsData });
    this.namespaces = new Namespaces(deciding);
    this.recovery = new Recovery({ env, channel, self, layouts, acceptor });
    this.settings = new SettingsStore({ env, meta, channel, self, layouts });
    this.joining = new Joining({
      env,
      channel,
      layouts,
      members,
      own,
      holdsData,
      seeds: config.join.filter((url) => trimSlash(url) !== trimSlash(config.peerUrl)),
      clusterId: () => this.clusterId,
      onClusterId: (clusterId) => this.belongTo(clusterId),
    });
    this.clocks = new ClockWatch(env);
    this.gossip = this.#makeGossip();
    loadAddressBook(env, meta, members);
    // The directory names a cluster that this database has never heard of: it is not the one that joined.
    const forgot = options.actorIsNew || meta.get(BELONGS) === undefined;
    if (this.clusterId !== undefined && forgot) layouts.beginRecovery();
    if (this.clusterId !== undefined) this.#markBelonging(this.clusterId);
  }

  /** What this node says of itself. */
  own(): MemberEntry {
    const { self, config, load } = this.options;
    const { keys, bytes, hints } = load();
    const isMember = this.layouts.known()?.active.member(self) !== undefined;
    return {
      id: self,
      incarnation: this.identity.incarnation,
      nonce: this.identity.nonce,
      counter: this.identity.counter,
      url: config.url,
      peerUrl: config.peerUrl,
      region: parseRegionId(config.region),
      zone: parseZoneId(config.zone),
      role: config.role,
      weight: config.weight,
      keys,
      bytes,
      hints,
      wantsToJoin: !isMember && !this.layouts.recovering,
      leaving: this.leaving,
      clockIsOff: this.clocks.isOff,
    };
  }

  /** Whether any member is known to hold a row: the freeze makes sure, this only saves it the trouble. */
  holdsData(): boolean {
    if (this.options.hasRows()) return true;
    for (const { id } of this.layouts.known()?.document.members ?? []) {
      if ((this.members.get(id)?.entry.keys ?? 0) > 0) return true;
    }
    return false;
  }

  /** A new cluster with this node as its only member. The document is durable before the id is told to anyone. */
  create(): void {
    const { env, config } = this.options;
    let hex = "";
    for (const byte of env.random.bytes(16)) hex += byte.toString(16).padStart(2, "0");
    const clusterId = parseClusterId(hex);
    const { bootstrapExpect: expect, partitions, copies } = config;
    const member = layoutMember(this.own());
    const policy = { n: copies };
    this.layouts.adopt(firstLayout({ clusterId, member, expect, partitions, policy }));
    env.logger.info("cluster-created", { clusterId, expect, partitions, copies });
    this.belongTo(clusterId);
  }

  belongTo(clusterId: ClusterId): void {
    this.#markBelonging(clusterId);
    this.clusterId = clusterId;
    this.clusterIdListener?.(clusterId);
  }

  /** Before the directory says so: else a crash between the two would look like a lost database. */
  #markBelonging(clusterId: ClusterId): void {
    const { meta } = this.options;
    if (meta.get(BELONGS) === undefined) meta.set(BELONGS, encode(clusterId));
  }

  #makeMembers(self: NodeId, detector: FailureDetector): MemberList {
    return new MemberList(self, detector, {
      onSelf: (entry) => this.identity.heard(entry, this.layouts.recovering),
      onAddress: () => {
        this.addressesChanged = true;
      },
      isKept: (node) => this.layouts.known()?.active.member(node) !== undefined,
    });
  }

  #makeGossip(): Gossip {
    const { env, channel, self, config } = this.options;
    return new Gossip({
      env,
      channel,
      self,
      members: this.members,
      suspicion: this.suspicion,
      clocks: this.clocks,
      intervalMs: config.gossipIntervalMs,
      own: (bump) => {
        if (bump) this.identity.beat();
        return this.own();
      },
      freshness: () => ({
        generation: this.layouts.generation,
        version: this.layouts.version,
        settingsDigest: this.settings.digest(),
      }),
      onFreshness: (from, theirs, asked) => this.#onFreshness(from, theirs, asked),
    });
  }

  #onFreshness(from: NodeId, theirs: Freshness, asked: boolean): void {
    const { generation, version } = this.layouts;
    if (this.layouts.isBehind(theirs.generation, theirs.version)) {
      this.#once(this.#fetching, from, () => this.recovery.fetchFrom(from));
      return;
    }
    // Rows of a namespace that one side does not know yet must wait for the layout.
    const same = theirs.generation === generation && theirs.version === version;
    if (!asked || !same || version === 0) return;
    this.#once(this.#reconciling, from, () => this.settings.reconcile(from, theirs.settingsDigest));
  }

  /** One call of a sort to a peer at a time; a failed one is tried again with the next gossip. */
  #once(running: Set<NodeId>, node: NodeId, act: () => Promise<void>): void {
    if (running.has(node)) return;
    running.add(node);
    const { logger } = this.options.env;
    void act()
      .catch((error: unknown) => logger.debug("catch-up-failed", { node, error: String(error) }))
      .finally(() => running.delete(node));
  }

  #announce(adopted: AdoptedLayout): void {
    const { channel, self, env } = this.options;
    const to = new Set<NodeId>(adopted.document.members.map((member) => member.id));
    for (const { entry } of this.members.others()) to.add(entry.id);
    to.delete(self);
    // With the addresses of the new members: whoever adopts the layout may have to send to any of them at once.
    const present = adopted.document.members.map((m) => this.members.get(m.id)?.entry);
    const entries = [this.own(), ...present.filter((entry) => entry !== undefined)];
    const news = [adopted.encoded, entries.map(encodeEntry)];
    for (const node of to) {
      channel
        .send(node, "decided", news, { timeoutMs: ELECTOR_TIMEOUT_MS, lane: "direct" })
        .catch((error: unknown) => {
          env.logger.debug("announcement-failed", { node, error: String(error) });
        });
    }
  }
}

function trimSlash(url: string): string {
  return url.endsWith("/") ? url.slice(0, -1) : url;
}
