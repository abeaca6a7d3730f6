/**
 * What a member says to a reaper is so (design 7 "Reaping"): who agrees that a row may be forgotten, or its context be shortened,
 * holds no other row of the key, keeps nothing as old for somebody else, and has not changed its own for four lives of a
 * message. One wrong answer costs a value only if all others agree as well: so each is judged, by the disk that it speaks of.
 */
import { MESSAGE_KINDS, type WireFields } from "../../../src/cluster/peer-channel.ts";
import { decodeAnswer, decodeRequest } from "../../../src/cluster/peer-codec.ts";
import { equalBytes } from "../../../src/core/bytes.ts";
import { oldestStamp, REAP_ANSWERS } from "../../../src/core/reap.ts";
import { newestStamp } from "../../../src/core/record.ts";
import { decodeHead } from "../../../src/core/record-codec.ts";
import type { Stamp } from "../../../src/core/version.ts";
import { QUARANTINE_SHELF } from "../../../src/storage/shelves.ts";
import type { KeyState } from "../key-state.ts";
import type { SimNode } from "../sim-node.ts";

/** Of one answer in a response: why it must not agree. */
export interface Objection {
  /** Which message of the request, and which of its items. */
  readonly message: number;
  readonly item: number;
  readonly key: string;
  readonly why: string;
}

const ITEM_FIELDS = 5;
/** Of four lives: clocks may run fast by less than what is missing. */
const QUIET_LIVES = 3.95;

export interface Asked {
  readonly node: SimNode;
  readonly keys: ReadonlyMap<string, KeyState>;
  readonly isRotten: (key: KeyState) => boolean;
  /** For how long the node's row has been as it is; Infinity for longer than anybody knows. */
  readonly quietMs: (key: KeyState) => number;
  readonly lifeMs: number;
}

/** REQUIRES: called before the node sees the request. What changes until it answers makes it refuse in any case. */
export function objectionsTo(asked: Asked, body: Uint8Array): Objection[] {
  const objections: Objection[] = [];
  const { flat } = decodeRequest(body);
  for (let message = 0; 3 * message < flat.length; message++) {
    if (flat[3 * message] !== MESSAGE_KINDS.reapAsk) continue;
    const items = (flat[3 * message + 2] as WireFields)[2] as WireFields;
    for (let item = 0; ITEM_FIELDS * item < items.length; item++) {
      const [, namespace, name, , stamp] = items.slice(ITEM_FIELDS * item);
      const key = asked.keys.get(name as string);
      if (key === undefined || key.namespace !== namespace) continue;
      const why = objectionTo(asked, key, stamp as Stamp);
      if (why !== null) objections.push({ message, item, key: key.name, why });
    }
  }
  return objections;
}

function objectionTo({ node, isRotten, quietMs, lifeMs }: Asked, key: KeyState, stamp: Stamp) {
  for (const { shelf, namespace, key: bytes, head } of node.disk.asideRows()) {
    if (shelf === QUARANTINE_SHELF || namespace !== key.namespace) continue;
    if (!equalBytes(bytes, key.bytes) || oldestStamp(decodeHead(head)) > stamp) continue;
    return `keeps one on its shelf ${shelf} that is as old`;
  }
  if (!key.homes.includes(node.index) || isRotten(key)) return null;
  const row = node.rowOf(key);
  if (row === undefined) return "has no row";
  if (newestStamp(decodeHead(row.head)) !== stamp) return "has another row";
  const ms = quietMs(key);
  return ms < QUIET_LIVES * lifeMs ? `has changed its row ${Math.floor(ms)} ms ago` : null;
}

/** Of these objections, those that the node did not heed. */
export function overruled(
  objections: readonly Objection[],
  request: Uint8Array,
  answer: Uint8Array,
): readonly Objection[] {
  if (objections.length === 0) return [];
  const answers = decodeAnswer(answer, decodeRequest(request).flat.length / 3);
  return objections.filter(({ message, item }) => {
    const [isRefusal, said] = answers.slice(2 * message);
    if (isRefusal !== 0) return false;
    const bytes = (said as WireFields)[0] as Uint8Array;
    return bytes[item] === REAP_ANSWERS.agreed;
  });
}
