/** Who has ever committed what of a key, by the disks' own commits: what acks and hints are held to (checkers/custody.ts). */
import { covers } from "../../src/core/context.ts";
import type { Context, Dot } from "../../src/core/version.ts";

/** A node's own rows, which lie on no shelf. */
export const OWN_ROWS = "";
/** Rows kept for somebody else. What a restored backup brought is nobody's copy until it was judged. */
const HINT_SHELF = /^hint\//;

export interface Holding {
  readonly node: number;
  readonly shelf: string;
  readonly context: Context;
  /** Of the key's homes, in their order: the generations that the node knew then. An ack sent later names these or newer ones. */
  readonly generations: readonly number[];
  /** Of a hint: so many homes must have what it holds before its node may give it up. 0 of any other row. */
  readonly needed: number;
}

/** What this node has committed of the key, on shelves that `isShelf` takes, oldest first. */
export function heldAt(
  key: { readonly holdings: readonly Holding[] },
  node: number,
  isShelf: (shelf: string) => boolean = isOwn,
): Holding[] {
  return key.holdings.filter((held) => held.node === node && isShelf(held.shelf));
}

export function holdsAll(held: readonly Holding[], dots: readonly Dot[]): boolean {
  return dots.every((dot) => held.some(({ context }) => covers(context, dot)));
}

function isOwn(shelf: string): boolean {
  return shelf === OWN_ROWS;
}

export function isHintShelf(shelf: string): boolean {
  return HINT_SHELF.test(shelf);
}
