/**
 * What an ack says is so: the row is durable where the ack comes from before the ack leaves, an answer counts no more acks
 * than there are such nodes, none of them by a database that another one's ack shows to be gone, and a hint is given up only
 * once as many homes as its write's W have what it holds (design 2 and 7). A breach costs a write only if other disks are
 * lost at just that time, which the atlas forbids: so it is judged at once, from what the disks have committed.
 */
import { MESSAGE_KINDS, type WireFields } from "../../../src/cluster/peer-channel.ts";
import { decodeAnswer, decodeRequest } from "../../../src/cluster/peer-codec.ts";
import { covers } from "../../../src/core/context.ts";
import { decodeHead } from "../../../src/core/record-codec.ts";
import type { Dot } from "../../../src/core/version.ts";
import type { AsideRow } from "../../../src/env/disk.ts";
import { decodeHintNote } from "../../../src/replication/hint-note.ts";
import type { Op } from "../history.ts";
import { heldAt, holdsAll, isHintShelf, OWN_ROWS } from "../holdings.ts";
import type { KeyState } from "../key-state.ts";
import type { Ledger } from "../ledger.ts";
import type { Mint } from "./dot-reuse.ts";
import type { Report } from "./report.ts";

/** That a node has the row of a key, or a hint: what it was sent, and which generations of the homes it names. */
export interface LeavingAck {
  readonly key: KeyState;
  /** That of its own rows, or one of what it keeps for somebody. */
  readonly shelf: string;
  readonly dots: readonly Dot[];
  readonly generations: readonly number[];
}

/** The acks in an answer that leaves a node. */
export function acksIn(ledger: Ledger, request: Uint8Array, answer: Uint8Array): LeavingAck[] {
  const acks: LeavingAck[] = [];
  const { flat } = decodeRequest(request);
  const answers = decodeAnswer(answer, flat.length / 3);
  for (let at = 0; 3 * at < flat.length; at++) {
    const [isRefusal, said] = answers.slice(2 * at);
    const kind = flat[3 * at] as number;
    if (isRefusal !== 0 || !isAck(kind, said as WireFields)) continue;
    const fields = flat[3 * at + 2] as WireFields;
    const key = ledger.keys.get(fields[2] as string);
    if (key === undefined || key.namespace !== fields[1]) continue;
    const shelf = kind === MESSAGE_KINDS.hint ? `hint/${fields[5] as string}` : OWN_ROWS;
    const dots = decodeHead(fields[3] as Uint8Array).siblings.map(({ dot }) => dot);
    const [generations] = said as [readonly number[]];
    acks.push({ key, shelf, dots, generations });
  }
  return acks;
}

function isAck(kind: number, said: WireFields): boolean {
  if (kind === MESSAGE_KINDS.held) return said[0] !== null;
  return kind === MESSAGE_KINDS.write || kind === MESSAGE_KINDS.hint;
}

/** Each ack that leaves a node speaks of a row that is committed there. */
export function judgeLeavingAcks(report: Report, node: number, acks: readonly LeavingAck[]): void {
  for (const { key, shelf, dots } of acks) {
    const held = heldAt(key, node, (other) => other === shelf);
    for (const dot of dots) {
      if (holdsAll(held, [dot])) continue;
      const op = key.dots.of(dot)?.op;
      report("acks", `node ${node} acknowledged op ${op} of ${key.name} before its commit`);
    }
  }
}

/** The newest generation of itself that the home can have named when it acknowledged this dot of the write. */
export type NamedGeneration = (home: number, mint: Mint) => number;

/** A write is acknowledged to its client. */
export function judgeCountedAcks(
  report: Report,
  op: Op,
  key: KeyState,
  answer: { readonly acks: number; readonly fallbacks: number },
  named: NamedGeneration,
): void {
  const mints = key.mintsOf.get(op.id) ?? [];
  const homes = Math.max(0, ...mints.map((mint) => ackersOf(key, mint, named)));
  const others = new Set<number>();
  // A hint that is given up sooner than the write's W allows is not what its client was told of.
  const asked = Math.min(op.needed, key.homes.length);
  for (const { node, shelf, context, needed } of key.holdings) {
    if (!isHintShelf(shelf) || needed < asked) continue;
    if (mints.some(({ dot }) => covers(context, dot))) others.add(node);
  }
  if (answer.acks <= homes && answer.fallbacks <= others.size) return;
  report(
    "acks",
    `op ${op.id} of ${key.name} was acknowledged by ${answer.acks} homes and ${answer.fallbacks} stand-ins: ${homes} and ${others.size} can have done so`,
  );
}

/** The most homes whose acks can be counted together: each has committed the dot, and none names a newer database of another. */
function ackersOf(key: KeyState, mint: Mint, named: NamedGeneration): number {
  const ackers = key.homes.flatMap((home, at) => {
    // What it knew when it first had the write, it knew when it said so.
    const first = heldAt(key, home).find(({ context }) => covers(context, mint.dot));
    return first === undefined ? [] : [{ at, known: first.generations, own: named(home, mint) }];
  });
  let most = 0;
  for (let subset = 1; subset < 2 ** ackers.length; subset++) {
    const chosen = ackers.filter((_, at) => ((subset >> at) & 1) === 1);
    const newest = (at: number): number =>
      Math.max(...chosen.filter((one) => one.at !== at).map(({ known }) => known[at] ?? 0));
    if (chosen.every(({ at, own }) => own >= newest(at))) most = Math.max(most, chosen.length);
  }
  return most;
}

/** A stand-in deletes what it kept for somebody. */
export function judgeDroppedHint(
  ledger: Ledger,
  report: Report,
  node: number,
  row: AsideRow,
): void {
  const key = ledger.keyOf(row);
  if (key === undefined || !isHintShelf(row.shelf)) return;
  const dots = decodeHead(row.head).siblings.map(({ dot }) => dot);
  const needed = Math.min(decodeHintNote(row.note).needed, key.homes.length);
  const having = key.homes.filter((home) => holdsAll(heldAt(key, home), dots));
  if (having.length >= needed) return;
  report(
    "custody",
    `node ${node} gave up its copy of ${key.name} for ${row.shelf}: ${having.length} homes have had it, its write asked for ${needed}`,
  );
}
