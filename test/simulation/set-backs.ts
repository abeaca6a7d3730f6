/**
 * Machines that were set back to a snapshot, with nothing on the disk that shows it. Peers can tell, if one of them has stored
 * more of this database than the snapshot has (src/replication/copy-check.ts). Where none has, nobody can: then it counts without
 * what it has lost (weak-homes.ts). Where one has, that is so only if the machine reached none of these while it waited after its
 * start, or asked and got no answer: whom it asks and what it is told is seen on the network, not taken from its word. That
 * each node tells its peers how far it is, without which none would ever know, is judged in the end (checkers/telling.ts).
 */
import { MESSAGES_PATH } from "../../src/cluster/peer-auth.ts";
import { MESSAGE_KINDS, type WireFields } from "../../src/cluster/peer-channel.ts";
import { decodeAnswer, decodeRequest } from "../../src/cluster/peer-codec.ts";
import { bytesToHex } from "../../src/core/bytes.ts";
import { COPY_CHECK_PATIENCE_MS } from "../../src/core/limits.ts";
import type { PeerRequest } from "../../src/env/transport.ts";
import {
  ACTOR_META,
  DATABASE_META,
  DATABASE_SEEN_META,
  EPOCH_LEASE_META,
} from "../../src/storage/meta-names.ts";
import type { Report } from "./checkers/report.ts";
import type { Exchange } from "./sim-network.ts";
import type { SimNode } from "./sim-node.ts";
import type { SimProcess } from "./sim-process.ts";

/** Its clock may be a little faster. */
const PATIENCE_MS = COPY_CHECK_PATIENCE_MS - 50;
/** It may be waiting for somebody else, for a second at most, when a peer can be reached. */
const ASK_WITHIN_MS = 1_500;
/** It waits for the others that it has asked before it ends. */
const END_WITHIN_MS = 2_000;

/** Between the present process and a peer that knows of more than it found. */
interface Contact {
  /** When first an answer came from this process of the peer, to whatever: from then on it could ask. */
  reachedMs: number;
  by: SimProcess | null;
  /** When last it was sent anything: nothing goes out while a session is being made. */
  sentMs: number;
  isAsked: boolean;
}

interface Said {
  readonly epochEnd: bigint;
  readonly sequence: bigint;
}

interface SetBack {
  /** Where peers keep what they know of this database. */
  readonly name: string;
  /** As its present process found them. */
  epochEnd: bigint;
  sequence: bigint;
  process: SimProcess | null;
  readonly contacts: Map<number, Contact>;
  /** It was told, and has to end. */
  isTold: boolean;
  /** Nobody could tell. */
  isExcused: boolean;
}

export class SetBacks {
  readonly #nodes: readonly SimNode[];
  readonly #weaken: (index: number) => void;
  readonly #report: Report;
  readonly #count: (event: string) => void;
  /** Those whose disks do not show it. */
  readonly #unnoticed = new Map<number, SetBack>();
  readonly #ever = new Set<number>();

  constructor(parts: {
    readonly nodes: readonly SimNode[];
    /** The node counts without what it has lost. */
    readonly weaken: (index: number) => void;
    readonly report: Report;
    readonly count: (event: string) => void;
  }) {
    this.#nodes = parts.nodes;
    this.#weaken = parts.weaken;
    this.#report = parts.report;
    this.#count = parts.count;
  }

  /** And nothing on its disk shows it. */
  isSetBack(index: number): boolean {
    return this.#unnoticed.has(index);
  }

  wasSetBack(index: number): boolean {
    return this.#ever.has(index);
  }

  /** REQUIRES: the disk is as it is afterwards. */
  wentBack(node: SimNode): void {
    const { disk, index } = node;
    node.isSetBack = true;
    this.#ever.add(index);
    this.#unnoticed.set(index, {
      name: seenMetaOf(node),
      epochEnd: leaseEndOf(disk),
      sequence: BigInt(disk.image().sequence),
      process: null,
      contacts: new Map(),
      isTold: false,
      isExcused: false,
    });
    this.#review();
  }

  /** Now the disk itself shows that something is missing, or it is another one. */
  noticed(index: number): void {
    (this.#nodes[index] as SimNode).isSetBack = false;
    this.#unnoticed.delete(index);
  }

  /** A process starts on a disk; what happened to the disk has happened. */
  booted(index: number): void {
    const setBack = this.#unnoticed.get(index);
    if (setBack !== undefined) this.#opened(index, setBack);
    this.#review();
  }

  /** What it has stored in an earlier start that heard nothing may be more than its peers know of. */
  #opened(index: number, setBack: SetBack): void {
    const { disk, process } = this.#nodes[index] as SimNode;
    setBack.epochEnd = leaseEndOf(disk);
    setBack.sequence = BigInt(disk.image().sequence);
    setBack.process = process;
    setBack.isTold = false;
    setBack.contacts.clear();
    for (const peer of this.#knowers(index, setBack)) {
      setBack.contacts.set(peer, { reachedMs: 0, by: null, sentMs: 0, isAsked: false });
    }
    this.#waits(index, setBack, process);
  }

  #waits(index: number, setBack: SetBack, process: SimProcess | null): void {
    process?.clock.after(PATIENCE_MS, () => {
      if (this.#isPresent(index, setBack, process)) this.#waited(index, setBack, process);
    });
  }

  /** A process sends something to a peer. */
  asked(process: SimProcess, to: number, request: PeerRequest): void {
    const setBack = this.#unnoticed.get(process.index);
    const contact = setBack?.process === process ? setBack.contacts.get(to) : undefined;
    if (setBack === undefined || contact === undefined || contact.isAsked) return;
    if (request.path === MESSAGES_PATH) contact.sentMs = process.clock.monotonicMs();
    contact.isAsked = questionIn(request, setBack) >= 0;
  }

  /** A process hears from a peer: the first answer to its question, of one that knows more than it found, must end it. */
  heard(process: SimProcess, from: number, exchange: Exchange): void {
    const setBack = this.#unnoticed.get(process.index);
    const contact = setBack?.process === process ? setBack.contacts.get(from) : undefined;
    if (setBack === undefined || contact === undefined || exchange.response.status !== 200) return;
    const by = this.#nodes[from]?.process ?? null;
    // One that has started since has to be reached anew.
    if (contact.by !== by) Object.assign(contact, { by, reachedMs: process.clock.monotonicMs() });
    const said = answerIn(exchange, setBack);
    if (said === null) return;
    // What it says later, it may have been told by this process.
    setBack.contacts.delete(from);
    if (setBack.isTold || !isMore(said, setBack)) return;
    setBack.isTold = true;
    this.#count("set back, and told");
    this.#mustEnd(setBack, process);
  }

  #mustEnd(setBack: SetBack, process: SimProcess): void {
    const { index } = process;
    const { disk } = this.#nodes[index] as SimNode;
    const wasFull = disk.full || disk.fullCommits > 0;
    process.clock.after(END_WITHIN_MS, () => {
      if (!this.#isPresent(index, setBack, process)) return;
      // Before it ends it marks its rows, for which there must be room; it may have waited for that.
      if (wasFull || disk.full || disk.fullCommits > 0) this.#mustEnd(setBack, process);
      else this.#report("set-backs", `node ${index} was told that it is a copy, and goes on`);
    });
  }

  /** It has waited for its peers, and counts from now on. */
  #waited(index: number, setBack: SetBack, process: SimProcess): void {
    if (setBack.isTold) return;
    // It does not know yet who there is to be asked, and is pending.
    const { disk } = this.#nodes[index] as SimNode;
    if (
      disk.meta("layout/document") === undefined ||
      disk.meta("layout/recovering") !== undefined
    ) {
      this.#waits(index, setBack, process);
      return;
    }
    for (const [peer, { reachedMs, by, sentMs, isAsked }] of setBack.contacts) {
      const isReached = by?.alive === true && sentMs - reachedMs > ASK_WITHIN_MS;
      if (isAsked || !isReached) continue;
      this.#report(
        "set-backs",
        `node ${index}, which was set back, has reached node ${peer}, which knows, and has not asked it`,
      );
    }
    this.#excuse(index, setBack);
  }

  /** Who has not stored of whom how far its leases go: node by node, after all were up for a while. */
  untold(): string[] {
    const storage = this.#nodes.filter((node) => node.role === "storage");
    return storage.flatMap((node) => {
      const name = seenMetaOf(node);
      const epochEnd = leaseEndOf(node.disk);
      const unaware = storage.filter(
        (peer) => peer !== node && numberAt(peer.disk.meta(name), 0) < epochEnd,
      );
      return unaware.map((peer) => `${peer.index} of ${node.index}`);
    });
  }

  #isPresent(index: number, setBack: SetBack, process: SimProcess | null): process is SimProcess {
    return (
      process?.alive === true &&
      this.#unnoticed.get(index) === setBack &&
      setBack.process === process
    );
  }

  #review(): void {
    for (const [index, setBack] of this.#unnoticed) {
      if (setBack.isExcused || setBack.isTold || this.#knowers(index, setBack).length > 0) continue;
      this.#excuse(index, setBack);
      (this.#nodes[index] as SimNode).isSetBack = false;
    }
  }

  /** Peers that have stored more of this database than its present process found. */
  #knowers(index: number, setBack: SetBack): number[] {
    const knowers = this.#nodes.filter((peer) => {
      const seen = peer.index === index ? undefined : peer.disk.meta(setBack.name);
      return isMore({ epochEnd: numberAt(seen, 0), sequence: numberAt(seen, 8) }, setBack);
    });
    return knowers.map((peer) => peer.index);
  }

  #excuse(index: number, setBack: SetBack): void {
    if (!setBack.isExcused) this.#count("set back, and nobody could tell");
    setBack.isExcused = true;
    this.#weaken(index);
  }
}

/** Where peers keep what they know of the database that this node has now. */
function seenMetaOf({ disk }: SimNode): string {
  const id = disk.meta(DATABASE_META) ?? disk.meta(ACTOR_META);
  return `${DATABASE_SEEN_META}${bytesToHex(id ?? new Uint8Array())}`;
}

/** Epochs begin with 1: so far goes a database that has leased none. */
function leaseEndOf(disk: SimNode["disk"]): bigint {
  const lease = disk.meta(EPOCH_LEASE_META);
  return lease === undefined ? 1n : numberAt(lease, 0);
}

/** What a peer has said of this database; null for nothing. */
function answerIn({ request, response }: Exchange, setBack: SetBack): Said | null {
  const at = questionIn(request, setBack);
  if (at < 0) return null;
  const messages = decodeRequest(request.body).flat.length / 3;
  const [isRefusal, said] = decodeAnswer(response.body, messages).slice(2 * at);
  if (isRefusal !== 0) return null;
  const [epochEnd, sequence] = said as [number, number];
  return { epochEnd: BigInt(epochEnd), sequence: BigInt(sequence) };
}

function isMore(said: Said, than: Said): boolean {
  return said.epochEnd > than.epochEnd || said.sequence > than.sequence;
}

/** Which message of the request asks about this database; -1 for none. */
function questionIn({ path, body }: PeerRequest, { name }: SetBack): number {
  if (path !== MESSAGES_PATH) return -1;
  const { flat } = decodeRequest(body);
  for (let at = 0; 3 * at < flat.length; at++) {
    if (flat[3 * at] !== MESSAGE_KINDS.actorSeen) continue;
    const [database] = flat[3 * at + 2] as WireFields;
    if (name === `${DATABASE_SEEN_META}${bytesToHex(database as Uint8Array)}`) return at;
  }
  return -1;
}

function numberAt(bytes: Uint8Array | undefined, offset: number): bigint {
  if (bytes === undefined || bytes.length < offset + 8) return 0n;
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getBigUint64(offset);
}
