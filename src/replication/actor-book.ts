/**
 * Which database speaks for each node. A database that may have forgotten something (lost, restored, damaged, or a row of it
 * unreadable) must not be counted by what it acknowledged before: whoever has exchanged with the new one knows better, and
 * says so in every ack (design 7: "an ack from an actor id that another ack shows to be superseded does not count"; else a
 * write is acknowledged by a disk that is gone, and a strict read of the node that came back misses it).
 *
 * On the wire an actor is named by its *generation*: a number that only rises, for each node. Acks carry the generations of
 * the unit's owners in the layout's order, a byte or two each, so that the hot path neither encodes ids nor looks them up.
 */

import { bytesFromByteString } from "../core/bytes.ts";
import { type ActorId, actorIdFromBytes, type NodeId, parseNodeId } from "../core/ids.ts";
import type { Logger } from "../env/logger.ts";
import type { MetaStore } from "../env/meta-store.ts";

/** Followed by the node id. The value: 16 bytes of the actor id, 8 bytes of the generation. */
const META_PREFIX = "actor-of/";
const ACTOR_BYTES = 16;
const ENTRY_BYTES = ACTOR_BYTES + 8;
const TWO_POW_32 = 2 ** 32;

export interface KnownActor {
  readonly actor: ActorId;
  readonly generation: number;
}

interface Owners {
  /** Of the book when these were looked up. */
  readonly edition: number;
  readonly generations: readonly number[];
}

export class ActorBook {
  readonly #meta: MetaStore;
  readonly #logger: Logger;
  readonly #self: NodeId;
  readonly #known = new Map<NodeId, KnownActor>();
  /** Rises with each change, so that what was looked up before is looked up anew. */
  #edition = 0;
  /** By the layout's own array of homes, of which there is one per unit for as long as a layout lives. */
  readonly #owners = new WeakMap<readonly NodeId[], Owners>();

  /**
   * `incarnation`: the boot counter of the data directory, which outlives a database: a new actor begins above all that
   * came before it. @throws DiskFullError
   */
  constructor(parts: {
    readonly meta: MetaStore;
    readonly logger: Logger;
    readonly self: NodeId;
    readonly actorId: ActorId;
    readonly incarnation: number;
  }) {
    this.#meta = parts.meta;
    this.#logger = parts.logger;
    this.#self = parts.self;
    for (const name of parts.meta.names(META_PREFIX)) {
      const entry = decodeEntry(parts.meta.get(name));
      if (entry !== null) this.#known.set(parseNodeId(name.slice(META_PREFIX.length)), entry);
    }
    const own = this.#known.get(parts.self);
    if (own?.actor === parts.actorId) return;
    const generation = Math.max(1, parts.incarnation, (own?.generation ?? 0) + 1);
    this.#store(parts.self, { actor: parts.actorId, generation });
  }

  get own(): KnownActor {
    return this.#known.get(this.#self) as KnownActor;
  }

  /** 0 for a node of which nothing was ever heard. */
  generationOf(node: NodeId): number {
    return this.#known.get(node)?.generation ?? 0;
  }

  all(): IterableIterator<[NodeId, KnownActor]> {
    return this.#known.entries();
  }

  /** The newest generations known of these nodes, in their order. REQUIRES an array that is never changed. */
  generationsOf(homes: readonly NodeId[]): readonly number[] {
    const found = this.#owners.get(homes);
    if (found?.edition === this.#edition) return found.generations;
    const generations = homes.map((node) => this.generationOf(node));
    this.#owners.set(homes, { edition: this.#edition, generations });
    return generations;
  }

  /** This database has forgotten something: what it acknowledged until now no longer counts. @throws DiskFullError */
  raise(above: number = this.own.generation): void {
    if (above < this.own.generation) return;
    this.#store(this.#self, { actor: this.own.actor, generation: above + 1 });
  }

  /** This node mints under another actor from now on. @throws DiskFullError */
  renewed(actor: ActorId): void {
    this.#store(this.#self, { actor, generation: this.own.generation + 1 });
  }

  /**
   * Somebody tells of a node's actor. Durable when it returns. False when something newer, or another actor of the same
   * generation, is known. @throws DiskFullError
   */
  learn(node: NodeId, told: KnownActor): boolean {
    if (node === this.#self) return this.#toldOfSelf(told);
    const known = this.#known.get(node);
    if (known !== undefined && told.generation <= known.generation) {
      return told.generation === known.generation && told.actor === known.actor;
    }
    if (known !== undefined && known.actor !== told.actor) {
      this.#logger.warn("actor-superseded", { node, generation: told.generation });
    }
    this.#store(node, told);
    return true;
  }

  #toldOfSelf(told: KnownActor): boolean {
    const { own } = this;
    if (told.generation < own.generation) return false;
    if (told.generation === own.generation && told.actor === own.actor) return true;
    // An earlier database of this node, whose boot counter was lost with it, or this very one before it was rolled back.
    this.raise(told.generation);
    return false;
  }

  #store(node: NodeId, entry: KnownActor): void {
    this.#meta.set(META_PREFIX + node, encodeEntry(entry));
    this.#known.set(node, entry);
    this.#edition++;
  }
}

function encodeEntry({ actor, generation }: KnownActor): Uint8Array {
  const bytes = new Uint8Array(ENTRY_BYTES);
  bytes.set(bytesFromByteString(actor), 0);
  const view = new DataView(bytes.buffer);
  view.setUint32(ACTOR_BYTES, Math.floor(generation / TWO_POW_32));
  view.setUint32(ACTOR_BYTES + 4, generation % TWO_POW_32);
  return bytes;
}

/** Null for damage: what it said is heard again from whoever knows. */
function decodeEntry(bytes: Uint8Array | undefined): KnownActor | null {
  if (bytes === undefined || bytes.length !== ENTRY_BYTES) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const high = view.getUint32(ACTOR_BYTES);
  return {
    actor: actorIdFromBytes(bytes.subarray(0, ACTOR_BYTES)),
    generation: high * TWO_POW_32 + view.getUint32(ACTOR_BYTES + 4),
  };
}
