import { utf8Decode } from "../core/bytes.ts";
import type { Hasher } from "../core/hasher.ts";
import { parseNamespaceId } from "../core/ids.ts";
import { type Key, makeKey, placeOf } from "../core/key.ts";
import { decodeRecord, encodeBody, encodeHead, valuesIntact } from "../core/record-codec.ts";
import type { CausalRecord } from "../core/version.ts";
import type { AsideRow, Disk, Minted, PlaceCursor } from "../env/disk.ts";
import type { Logger } from "../env/logger.ts";
import type { BrokenPages } from "./broken-pages.ts";
import type { RowChecksum } from "./checksum.ts";
import type { AsideFound, RowName } from "./record-store.ts";
import type { Turn } from "./turn.ts";

/** Keeps rows aside, and reads them as a node reads its own: trusting none. */
export class AsideRows {
  readonly #disk: Disk;
  readonly #hasher: Hasher;
  readonly #logger: Logger;
  readonly #checksum: RowChecksum;
  readonly #turn: Turn;
  readonly #pages: BrokenPages;
  readonly #watchers: ((name: RowName) => void)[] = [];

  constructor(
    parts: { readonly disk: Disk; readonly hasher: Hasher; readonly logger: Logger },
    checksum: RowChecksum,
    turn: Turn,
    pages: BrokenPages,
  ) {
    this.#disk = parts.disk;
    this.#hasher = parts.hasher;
    this.#logger = parts.logger;
    this.#checksum = checksum;
    this.#turn = turn;
    this.#pages = pages;
  }

  /** As RecordStore.watchAsides. */
  watch(watcher: (name: RowName) => void): void {
    this.#watchers.push(watcher);
  }

  #tell(name: RowName): void {
    for (const watcher of this.#watchers) watcher(name);
  }

  /** As RecordStore.setAside. */
  set(
    shelf: string,
    key: Key,
    record: CausalRecord,
    minted: Minted | null,
    note: Uint8Array,
  ): number {
    this.#tell(key);
    const head = encodeHead(record);
    const body = encodeBody(record);
    this.#turn.begin();
    const sequence = this.#turn.nextSequence(key.id);
    const { namespace, bytes, hash } = key;
    const place = placeOf(hash);
    const row = { shelf, namespace, key: bytes, place, sequence, minted, note, head };
    try {
      this.#disk.putAside({ ...row, headSum: this.#checksum.sum(row), body });
    } catch (error) {
      throw this.#turn.failed(error);
    }
    this.#turn.wrote(head.length + body.length + note.length);
    return sequence;
  }

  /** As RecordStore.dropAside. */
  drop(
    rows: readonly { readonly shelf: string; readonly key: RowName; readonly sequence: number }[],
  ): boolean[] {
    let dropped: boolean[] = [];
    this.#turn.commitAlone(() => {
      dropped = rows.map(({ shelf, key, sequence }) => {
        const { namespace, bytes } = key;
        const found = this.#rowsOf(namespace, bytes).find((row) => row.shelf === shelf);
        if (found?.sequence !== sequence) return false;
        this.#disk.deleteAside(shelf, namespace, bytes);
        this.#tell(key);
        return true;
      });
    });
    return dropped;
  }

  ofKey(key: Key): readonly AsideFound[] {
    // Nearly always nothing is aside: then no read of a key pays for the question.
    if (this.#disk.asideUsage().size === 0) return NOTHING;
    return this.#rowsOf(key.namespace, key.bytes).map((row) => this.found(row, key));
  }

  scan(
    shelf: string,
    after: PlaceCursor | null,
    limit: number,
  ): { readonly rows: readonly AsideFound[]; readonly next: PlaceCursor | null } {
    const rows = this.#pages.met(() => this.#disk.scanAside(shelf, after, limit));
    const last = rows.at(-1);
    const next =
      last === undefined || rows.length < limit
        ? null
        : { place: last.place, namespace: last.namespace, keyBytes: last.key };
    return { rows: rows.map((row) => this.found(row, null)), next };
  }

  #rowsOf(namespace: number, bytes: Uint8Array): AsideRow[] {
    return this.#pages.met(() => this.#disk.asides(namespace, bytes));
  }

  /** A row as it was read: not to be trusted before it was looked at. */
  found(row: AsideRow, known: Key | null): AsideFound {
    const { shelf, sequence, minted, note } = row;
    if (this.#checksum.matches(row)) {
      try {
        const key =
          known ?? makeKey(this.#hasher, parseNamespaceId(row.namespace), utf8Decode(row.key));
        const record = decodeRecord(row.head, row.body);
        if (valuesIntact(this.#hasher, record))
          return { state: "record", shelf, key, record, minted, note, sequence };
      } catch (error) {
        this.#logger.error("aside-row-undecodable", { shelf, reason: String(error) });
      }
    }
    const { namespace, key: bytes } = row;
    return { state: "unknown", shelf, key: { namespace, bytes }, sequence };
  }
}

const NOTHING: readonly AsideFound[] = [];
