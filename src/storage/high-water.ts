import type { Files } from "../env/files.ts";
import type { Logger } from "../env/logger.ts";

const MARK_BYTES = 16;

/**
 * The number of the newest commit, kept beside the database and written after each one without a sync: if the database is
 * behind it, commits are missing that no damage to the log shows (a log that was cut off or removed). Also commits that wrote
 * no row: a promise to an elector is one. Eight bytes, big-endian, and their complement, so that a torn one is told from a
 * true one.
 */
export class HighWater {
  /** What the mark said when it was opened; 0 when there was none, or no whole one. */
  readonly found: number;
  readonly #logger: Logger;
  readonly #path: string;
  readonly #mark: { write(bytes: Uint8Array): void; close(): void };
  readonly #bytes = new Uint8Array(MARK_BYTES);
  readonly #view = new DataView(this.#bytes.buffer);
  #isFailing = false;

  constructor(files: Files, logger: Logger, path: string) {
    this.found = decodeHighWater(files.read(path));
    this.#logger = logger;
    this.#path = path;
    this.#mark = files.openMark(path);
  }

  /** The commit stands whatever becomes of the mark: an older one is true as well, and only finds less. */
  write(commit: number): void {
    const high = Math.floor(commit / 2 ** 32);
    this.#view.setUint32(0, high);
    this.#view.setUint32(4, commit);
    this.#view.setUint32(8, ~high);
    this.#view.setUint32(12, ~commit);
    try {
      this.#mark.write(this.#bytes);
      this.#isFailing = false;
    } catch (error) {
      if (!this.#isFailing) {
        const reason = error instanceof Error ? error.message : String(error);
        this.#logger.warn("high-water-not-written", {
          file: this.#path,
          reason,
          consequence: "a start that follows may not see that the newest commits are missing",
        });
      }
      this.#isFailing = true;
    }
  }

  close(): void {
    this.#mark.close();
  }
}

/** 0 for none, and for one that is not whole. */
export function decodeHighWater(bytes: Uint8Array | undefined): number {
  if (bytes === undefined || bytes.length !== MARK_BYTES) return 0;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const high = view.getUint32(0);
  const low = view.getUint32(4);
  if (~high >>> 0 !== view.getUint32(8) || ~low >>> 0 !== view.getUint32(12)) return 0;
  return high * 2 ** 32 + low;
}
