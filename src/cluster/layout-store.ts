/**
 * The layout document this node goes by, and the durable marks beside it that keep the node honest across a restart:
 * frozen, abstaining, recovering. Every change is committed before it is acted upon.
 */
import { decode, encode } from "@msgpack/msgpack";
import { type ActiveLayout, compileLayout } from "../core/active-layout.ts";
import type { ClusterId } from "../core/ids.ts";
import type { LayoutDocument } from "../core/layout.ts";
import { validateLayout } from "../core/layout-checks.ts";
import { legalSuccessor } from "../core/layout-successor.ts";
import type { Env } from "../env/env.ts";
import type { MetaStore } from "../env/meta-store.ts";
import { decodeLayout, encodeLayout, layoutHash } from "./layout-codec.ts";
import { PeerError } from "./peer-channel.ts";
import { BadMessageError } from "./wire-read.ts";

/** The newest document this node knows. */
export const DOCUMENT = "layout/document";
const FROZEN = "layout/frozen";
const ABSTAINS = "layout/abstains";
/** Present while this node may not act by the layout it has. */
export const RECOVERING = "layout/recovering";

/** A document with what is needed to name it as a parent and to send it on. */
export interface AdoptedLayout {
  readonly document: LayoutDocument;
  readonly encoded: Uint8Array;
  readonly hash: string;
  readonly active: ActiveLayout;
}

export class LayoutStore {
  readonly #env: Env;
  readonly #meta: MetaStore;
  readonly #onAdopt: (adopted: AdoptedLayout) => void;
  #adopted: AdoptedLayout | undefined;
  #frozenThrough: number;
  #abstainsThrough: number;
  #recovering: boolean;
  #frozenSinceMs: number;

  /** @throws BadMessageError when the stored document cannot be read: the database is damaged. */
  constructor(env: Env, meta: MetaStore, onAdopt: (adopted: AdoptedLayout) => void) {
    this.#env = env;
    this.#meta = meta;
    this.#onAdopt = onAdopt;
    this.#frozenThrough = readMark(meta, FROZEN);
    this.#abstainsThrough = readMark(meta, ABSTAINS);
    this.#recovering = readMark(meta, RECOVERING) > 0;
    this.#frozenSinceMs = env.clock.monotonicMs();
    const stored = meta.get(DOCUMENT);
    if (stored !== undefined) this.#adopted = this.#compile(decodeLayout(stored), stored);
  }

  /** What this node knows, also while it is recovering and may not act by it. */
  known(): AdoptedLayout | undefined {
    return this.#adopted;
  }

  /** What this node may act by. */
  current(): AdoptedLayout | undefined {
    return this.#recovering ? undefined : this.#adopted;
  }

  get version(): number {
    return this.#adopted?.document.version ?? 0;
  }

  get generation(): number {
    return this.#adopted?.document.generation ?? 0;
  }

  isBehind(generation: number, version: number): boolean {
    if (generation !== this.generation) return generation > this.generation;
    return version > this.version;
  }

  clusterId(): ClusterId | undefined {
    return this.#adopted?.document.clusterId;
  }

  /** @throws BadMessageError; PeerError `wrong_cluster` */
  adoptEncoded(bytes: Uint8Array): boolean {
    return this.#take(decodeLayout(bytes), bytes.slice());
  }

  /** True when the document was newer and is now durably this node's. @throws as adoptEncoded */
  adopt(document: LayoutDocument): boolean {
    this.#requireOwnCluster(document);
    if (!this.isBehind(document.generation, document.version)) return false;
    return this.#take(document, encodeLayout(document));
  }

  #requireOwnCluster(document: LayoutDocument): void {
    const own = this.#adopted?.document.clusterId;
    if (own === undefined || own === document.clusterId) return;
    throw new PeerError("refused", "wrong_cluster", "The layout belongs to another cluster");
  }

  #take(document: LayoutDocument, encoded: Uint8Array): boolean {
    this.#requireOwnCluster(document);
    if (!this.isBehind(document.generation, document.version)) return false;
    const isNext = document.version === this.version + 1 && document.generation === this.generation;
    const fault = isNext ? this.faultAsNext(document) : validateLayout(document);
    if (fault !== null) throw new BadMessageError(`Cannot adopt layout: ${fault}`);
    const adopted = this.#compile(document, encoded);
    this.#meta.set(DOCUMENT, encoded);
    this.#adopted = adopted;
    this.#env.logger.info("layout-adopted", {
      version: document.version,
      members: document.members.length,
      formed: document.formed,
    });
    this.#onAdopt(adopted);
    return true;
  }

  /** Why the document may not follow on the present one, or null when it may. */
  faultAsNext(next: LayoutDocument): string | null {
    const current = this.#adopted;
    if (current === undefined) return validateLayout(next);
    return legalSuccessor(current.document, next, current.hash);
  }

  #compile(document: LayoutDocument, encoded: Uint8Array): AdoptedLayout {
    return {
      document,
      encoded,
      hash: layoutHash(this.#env.crypto, encoded),
      active: compileLayout(document),
    };
  }

  /** Under the present document this node takes no write any more: a newer one is about to be decided. */
  get frozen(): boolean {
    return this.#adopted !== undefined && this.#frozenThrough >= this.#adopted.document.version;
  }

  /** For how long it has been frozen, by this process's clock. */
  frozenForMs(): number {
    return this.frozen ? this.#env.clock.monotonicMs() - this.#frozenSinceMs : 0;
  }

  /** Durable, because a node that forgot it would take a write that the next document's owners never see. */
  freeze(throughVersion: number): void {
    if (this.#frozenThrough >= throughVersion) return;
    this.#meta.set(FROZEN, encode(throughVersion));
    this.#frozenThrough = throughVersion;
    this.#frozenSinceMs = this.#env.clock.monotonicMs();
  }

  /** Takes no part in the decision of any version up to this one: it may have promised and forgotten. */
  get abstainsThrough(): number {
    return this.#abstainsThrough;
  }

  get recovering(): boolean {
    return this.#recovering;
  }

  /** Durable before anything else happens: a crash in the middle must not end the recovery. */
  beginRecovery(): void {
    this.#meta.set(RECOVERING, encode(1));
    this.#recovering = true;
  }

  /** The known document is the newest: act by it, abstain from the next. */
  endRecovery(abstainThrough: number): void {
    this.#meta.set(ABSTAINS, encode(abstainThrough));
    this.#abstainsThrough = abstainThrough;
    this.#meta.delete(RECOVERING);
    this.#recovering = false;
  }
}

function readMark(meta: MetaStore, name: string): number {
  const bytes = meta.get(name);
  if (bytes === undefined) return 0;
  const value = decode(bytes);
  return typeof value === "number" ? value : 0;
}
