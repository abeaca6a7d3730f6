/**
 * Looks through SQLite's write-ahead log before SQLite does. It stops reading at the first frame whose checksum is wrong and
 * takes that for the end: one flipped bit silently undoes every commit behind it, with `quick_check` still saying ok
 * (reliability.md 0, finding 2). Format: https://www.sqlite.org/fileformat2.html section 4.
 */

const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
/** The last bit tells the byte order of the checksums. */
const MAGIC_LITTLE = 0x377f_0682;
const MAGIC_BIG = 0x377f_0683;
const PAGE_BYTES_MAX = 65_536;
/**
 * At most one commit is on its way to the disk when the power goes, and its frames may arrive in any order. Two commits of
 * this log's run behind a bad frame are proof that an acknowledged one is hurt.
 */
const COMMITS_BEHIND_MIN = 2;

/** True if commits that were acknowledged stand behind a damaged frame. False also for an empty or torn-off log. */
export function hidesCommits(log: Uint8Array): boolean {
  if (log.length < HEADER_BYTES) return false;
  const view = new DataView(log.buffer, log.byteOffset, log.byteLength);
  const pageBytes = view.getUint32(8);
  const magic = view.getUint32(0);
  const known = magic === MAGIC_LITTLE || magic === MAGIC_BIG;
  if (!known || pageBytes < 512 || pageBytes > PAGE_BYTES_MAX) return false;
  const frameBytes = FRAME_HEADER_BYTES + pageBytes;
  const sum = new FrameSum(view, magic === MAGIC_LITTLE);
  sum.add(0, FRAME_HEADER_BYTES);
  // The header is rewritten without a sync of its own, so a torn one proves nothing; the high-water mark decides then.
  if (!sum.equals(FRAME_HEADER_BYTES)) return false;
  let valid = true;
  let commitsBehind = 0;
  for (let at = HEADER_BYTES; at + frameBytes <= log.length; at += frameBytes) {
    // Frames with other salts are left over from before the log began anew.
    const current =
      view.getUint32(at + 8) === view.getUint32(16) &&
      view.getUint32(at + 12) === view.getUint32(20);
    if (valid && current) {
      sum.add(at, at + 8);
      sum.add(at + FRAME_HEADER_BYTES, at + frameBytes);
      valid = sum.equals(at + 16);
      if (valid) continue;
    }
    valid = false;
    // A frame that ends a commit names the size of the database; the damaged one may be such.
    if (current && view.getUint32(at + 4) > 0) commitsBehind++;
  }
  return commitsBehind >= COMMITS_BEHIND_MIN;
}

/** The running checksum of a log. */
class FrameSum {
  readonly #view: DataView;
  readonly #little: boolean;
  #s0 = 0;
  #s1 = 0;

  constructor(view: DataView, little: boolean) {
    this.#view = view;
    this.#little = little;
  }

  /** REQUIRES: a multiple of 8 bytes. */
  add(from: number, to: number): void {
    let s0 = this.#s0;
    let s1 = this.#s1;
    for (let at = from; at < to; at += 8) {
      s0 = (s0 + this.#view.getUint32(at, this.#little) + s1) >>> 0;
      s1 = (s1 + this.#view.getUint32(at + 4, this.#little) + s0) >>> 0;
    }
    this.#s0 = s0;
    this.#s1 = s1;
  }

  equals(at: number): boolean {
    return this.#view.getUint32(at) === this.#s0 && this.#view.getUint32(at + 4) === this.#s1;
  }
}
