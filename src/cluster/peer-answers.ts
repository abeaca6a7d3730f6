import { PEER_BODY_BYTES_MAX, RECORD_ALONE_BYTES } from "../core/limits.ts";
import type { WireFields, WireValue } from "./peer-channel.ts";
import { estimateWireBytes } from "./peer-codec.ts";

/** Room for the envelope and for what estimates miss. */
const BODY_ROOM_BYTES = 1 << 20;
const MESSAGE_CHARACTERS_MAX = 500;

/** The answers to one request, in its order, as they come in. */
export class Answers {
  readonly count: number;
  /** (0, fields) or (1, [code, message, detail]) for each message: the flat form of peer-codec.ts. */
  readonly flat: WireValue[];
  missing: number;
  /** Called once, when the last answer is there. */
  onComplete: (() => void) | null = null;

  constructor(count: number) {
    this.count = count;
    this.missing = count;
    this.flat = new Array<WireValue>(2 * count).fill(null);
  }

  set(index: number, fields: WireFields): void {
    this.#put(index, 0, fields);
  }

  refuse(index: number, code: string, message: string, detail: WireValue = null): void {
    this.#put(index, 1, [code, message.slice(0, MESSAGE_CHARACTERS_MAX), detail]);
  }

  #put(index: number, mark: 0 | 1, fields: WireFields): void {
    if (this.flat[2 * index] === null) this.missing--;
    this.flat[2 * index] = mark;
    this.flat[2 * index + 1] = fields;
    if (this.missing > 0 || this.onComplete === null) return;
    const complete = this.onComplete;
    this.onComplete = null;
    complete();
  }

  /**
   * Refuses what would make the answers exceed a body: many large records may be asked for at once. Only large answers
   * are refused, since those are reads: the small answer to a write says that it is done.
   */
  fit(): void {
    let bytes = 64;
    for (let index = 0; index < this.count; index++) {
      const answerBytes = estimateWireBytes(this.flat[2 * index + 1] as WireFields);
      const fits = bytes + answerBytes <= PEER_BODY_BYTES_MAX - BODY_ROOM_BYTES;
      if (fits || answerBytes <= RECORD_ALONE_BYTES) bytes += answerBytes + 1;
      else this.refuse(index, "answer_too_large", "The answers together exceed one body");
    }
  }
}
