/** Answers the data messages of peers from this node's share. One door for all of them: layout first, then the act. */

import {
  type MessageContext,
  type MessageHandlers,
  PeerError,
  type WireFields,
  type WireValue,
} from "../cluster/peer-channel.ts";
import { readInt } from "../cluster/wire-read.ts";
import { byteString } from "../core/bytes.ts";
import type { NodeId } from "../core/ids.ts";
import type { Key } from "../core/key.ts";
import { FORWARDS_REMEMBERED_MAX, LIST_LIMIT_MAX } from "../core/limits.ts";
import { firstHomeFor, mayStandIn } from "../core/stand-ins.ts";
import { DiskFullError } from "../env/disk.ts";
import type { Replication } from "./context.ts";
import type { Coordinator } from "./coordinator.ts";
import {
  decodeRead,
  decodeScan,
  decodeWrite,
  encodeAck,
  encodeReadAnswer,
  encodeScanAnswer,
  type ReadAnswer,
} from "./data-messages.ts";
import { decodeForward, encodeOutcome, withNamespace } from "./forward-message.ts";
import { decodeHeldQuestion, encodeHeldAnswer, holdsDurably } from "./held.ts";
import { decodeHint, decodeHintQuestion, encodeHintTargets } from "./hint-messages.ts";
import { answerIntroduction } from "./introduction.ts";
import { localRead, standInRead } from "./local-read.ts";
import { type Route, routeOf } from "./route.ts";
import { scanLocal } from "./scan-local.ts";

const HOP_SHARE = 0.9;

export class PeerService {
  readonly #r: Replication;
  readonly #coordinator: Coordinator;
  /** The newest layout document, encoded: what a `stale_layout` refusal carries. */
  readonly #encodedLayout: () => WireValue;
  /** Ids of forwards executed lately, oldest first: a request that arrives twice is executed once. */
  readonly #forwarded = new Set<string>();

  constructor(r: Replication, coordinator: Coordinator, encodedLayout: () => WireValue) {
    this.#r = r;
    this.#coordinator = coordinator;
    this.#encodedLayout = encodedLayout;
  }

  handlers(): MessageHandlers {
    return {
      write: (fields, context) => this.#write(fields, context),
      read: (fields, context) => this.#read(fields, context.from),
      forward: (fields, context) => this.#forward(fields, context),
      scan: (fields, context) => this.#scan(fields, context.from),
      introduce: (fields, context) => this.#introduce(fields, context.from),
      hint: (fields, context) => this.#hint(fields, context),
      hints: (fields, context) => this.#hints(fields, context.from),
      held: (fields, context) => this.#held(fields, context.from),
    };
  }

  #write(fields: WireFields, context: MessageContext): WireFields | Promise<WireFields> {
    const message = decodeWrite(this.#r.env.hasher, fields);
    const admitted = this.#admit(message.layoutVersion, context.from);
    if (admitted !== null) {
      return admitted.then(() => this.#alive(context)).then(() => this.#write(fields, context));
    }
    const { homes } = this.#home(message.key);
    if (this.#r.membership.refusesWrites()) throw notFormed();
    this.#r.counters.replicaWrites++;
    try {
      const { sequence } = this.#r.replica.merge(message.key, message.record, message.head);
      const ack = encodeAck(this.#r.actors.generationsOf(homes));
      if (this.#r.store.isDurable(sequence)) return ack;
      return this.#r.store.whenDurable(sequence).then(
        () => ack,
        (error: unknown) => this.#refuseDiskFull(error),
      );
    } catch (error) {
      return this.#refuseDiskFull(error);
    }
  }

  /** As a write, but kept in the name of a home that is away. */
  #hint(fields: WireFields, context: MessageContext): WireFields | Promise<WireFields> {
    const message = decodeHint(this.#r.env.hasher, fields);
    const admitted = this.#admit(message.layoutVersion, context.from);
    if (admitted !== null) {
      return admitted.then(() => this.#alive(context)).then(() => this.#hint(fields, context));
    }
    const { key, target, record, needed } = message;
    const route = this.#route(key);
    // Under one layout both sides know who the homes are, and where their stand-ins may be.
    if (!mayStandIn(route.layout, route, this.#r.self, target)) throw notHome(route);
    if (this.#r.membership.refusesWrites()) throw notFormed();
    try {
      const sequence = this.#r.hints.keep(key, target, record, needed);
      if (sequence === null) throw hintsFull();
      const ack = encodeAck(this.#r.actors.generationsOf(route.homes));
      if (this.#r.store.isDurable(sequence)) return ack;
      return this.#r.store.whenDurable(sequence).then(
        () => ack,
        (error: unknown) => this.#refuseDiskFull(error),
      );
    } catch (error) {
      return this.#refuseDiskFull(error);
    }
  }

  /** A record that waited here for a layout may have waited too long. @throws PeerError refused `expired` */
  #alive({ diesMs }: MessageContext): void {
    if (this.#r.env.clock.monotonicMs() <= diesMs) return;
    throw new PeerError("refused", "expired", "The message is too old");
  }

  async #hints(fields: WireFields, from: NodeId): Promise<WireFields> {
    const message = decodeHintQuestion(this.#r.env.hasher, fields);
    const admitted = this.#admit(message.layoutVersion, from);
    if (admitted !== null) await admitted;
    return encodeHintTargets(this.#r.hints.targets(message.key));
  }

  async #held(fields: WireFields, from: NodeId): Promise<WireFields> {
    const message = decodeHeldQuestion(this.#r.env.hasher, fields);
    const admitted = this.#admit(message.layoutVersion, from);
    if (admitted !== null) await admitted;
    // The asker would let go of its copy for a row that may soon be held apart.
    this.#refuseIfCopy();
    const { homes } = this.#home(message.key);
    const isHeld = holdsDurably(this.#r, message.key, message.record);
    return encodeHeldAnswer(isHeld ? this.#r.actors.generationsOf(homes) : null);
  }

  #read(fields: WireFields, from: NodeId): WireFields | Promise<WireFields> {
    const message = decodeRead(this.#r.env.hasher, fields);
    const admitted = this.#admit(message.layoutVersion, from);
    if (admitted !== null) return admitted.then(() => this.#read(fields, from));
    // An answer without a record would be taken by an owner in doubt for all that this one has.
    this.#refuseIfCopy();
    const { homes } = this.#route(message.key);
    this.#r.counters.replicaReads++;
    const isHome = homes.includes(this.#r.self);
    const answer = isHome ? localRead(this.#r, message.key) : standInRead(this.#r, message.key);
    const encode = (read: ReadAnswer) => encodeReadAnswer(read, message);
    return answer instanceof Promise ? answer.then(encode) : encode(answer);
  }

  async #forward(fields: WireFields, context: MessageContext): Promise<WireFields> {
    const message = decodeForward(this.#r.env.hasher, fields);
    const admitted = this.#admit(message.layoutVersion, context.from);
    if (admitted !== null) await admitted;
    if (message.asStandIn && message.request.sloppy) this.#homeOrStandIn(message.request.key);
    else this.#home(message.request.key);
    const namespace = this.#r.membership.layout()?.namespaceById(message.request.key.namespace);
    if (namespace === undefined) throw namespaceNotFound();
    if (this.#r.membership.refusesWrites()) throw notFormed();
    this.#refuseIfCopy();
    this.#remember(message.requestId, context.from);
    // The deadline shrinks at each hop, so that the answer is still awaited when it comes.
    const request = withNamespace(message, namespace, context.timeoutMs * HOP_SHARE);
    const { asStandIn } = message;
    return encodeOutcome(await this.#coordinator.coordinateForwarded(request, asStandIn));
  }

  async #introduce(fields: WireFields, from: NodeId): Promise<WireFields> {
    const version = readInt(fields, 0, "layoutVersion", 1, Number.MAX_SAFE_INTEGER);
    const admitted = this.#admit(version, from);
    if (admitted !== null) await admitted;
    try {
      return answerIntroduction(this.#r, fields, from);
    } catch (error) {
      return this.#refuseDiskFull(error);
    }
  }

  async #scan(fields: WireFields, from: NodeId): Promise<WireFields> {
    const message = decodeScan(fields, LIST_LIMIT_MAX);
    this.#refuseIfCopy();
    const admitted = this.#admit(message.layoutVersion, from);
    if (admitted !== null) await admitted;
    return encodeScanAnswer(await scanLocal(this.#r, message));
  }

  /** For messages that are answered elsewhere. See #admit. */
  readonly admission = (version: number, from: NodeId): Promise<void> | null => {
    this.#refuseIfCopy();
    return this.#admit(version, from);
  };

  /** Rows of a database that was rolled back would be merged by whoever gets them. @throws PeerError refused `not_ready` */
  #refuseIfCopy(): void {
    if (this.#r.mayBeCopy()) throw notReady("this node has just started");
  }

  /**
   * Answers count only under the document whose version the request carries. Null when that is the one held here; a
   * promise when the sender's is newer: it has the document, and this node must adopt it first.
   * @throws PeerError refused `stale_layout` with the newer document.
   */
  #admit(version: number, from: NodeId): Promise<void> | null {
    const held = this.#r.membership.layout();
    if (held !== undefined && held.version === version) return null;
    if (held !== undefined && held.version > version) {
      throw new PeerError(
        "refused",
        "stale_layout",
        `Cannot answer under layout ${version}: it is ${held.version} now`,
        { detail: this.#encodedLayout() },
      );
    }
    return this.#r.refreshLayout(from).then(() => {
      if ((this.#r.membership.layout()?.version ?? 0) < version) {
        throw new PeerError("refused", "not_ready", `Cannot find layout ${version} yet`);
      }
    });
  }

  #route(key: Key): Route {
    const layout = this.#r.membership.layout();
    const route = layout === undefined ? undefined : routeOf(layout, key);
    if (route === undefined) throw namespaceNotFound();
    return route;
  }

  #home(key: Key): Route {
    const route = this.#route(key);
    if (!route.homes.includes(this.#r.self)) throw notHome(route);
    return route;
  }

  /** A node that can keep no more hints refuses before anything was executed, so that another one may be asked. */
  #homeOrStandIn(key: Key): void {
    const route = this.#route(key);
    if (route.homes.includes(this.#r.self)) return;
    if (firstHomeFor(route.layout, route, this.#r.self) === null) throw notHome(route);
    if (this.#r.hints.isFull) throw hintsFull();
  }

  #refuseDiskFull(error: unknown): never {
    if (!(error instanceof DiskFullError)) throw error;
    this.#r.counters.diskFull++;
    throw new PeerError("refused", "disk_full", "No room on the disk: nothing was stored", {
      cause: error,
    });
  }

  #remember(requestId: Uint8Array, from: NodeId): void {
    const id = `${from}/${byteString(requestId)}`;
    if (this.#forwarded.has(id)) {
      throw new PeerError("refused", "duplicate", "This forwarded request was executed before");
    }
    this.#forwarded.add(id);
    if (this.#forwarded.size > FORWARDS_REMEMBERED_MAX) {
      for (const oldest of this.#forwarded) {
        this.#forwarded.delete(oldest);
        break;
      }
    }
  }
}

function notHome(route: Route): PeerError {
  return new PeerError("refused", "not_home", `Not a home replica of partition ${route.partition}`);
}

function hintsFull(): PeerError {
  return new PeerError("refused", "overloaded", "No more hints are taken: their budget is used up");
}

function notReady(reason: string): PeerError {
  return new PeerError("refused", "not_ready", `Cannot do that yet: ${reason}`);
}

function notFormed(): PeerError {
  return new PeerError("refused", "not_formed", "The layout may still change: no writes are taken");
}

function namespaceNotFound(): PeerError {
  return new PeerError(
    "refused",
    "namespace_not_found",
    "The layout held here has no such namespace",
  );
}
