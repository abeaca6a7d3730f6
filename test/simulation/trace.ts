/** All that happens in a run, as one number: two runs are the same iff their traces are. */

const OFFSET_A = 0x811c9dc5;
const OFFSET_B = 0x9747b28c;
const PRIME_A = 0x01000193;
const PRIME_B = 0x85ebca6b;

export class Trace {
  /** The lines themselves, for a person; only kept when asked for. */
  readonly lines: string[] | null;
  #a = OFFSET_A;
  #b = OFFSET_B;
  #events = 0;

  constructor(keepLines: boolean) {
    this.lines = keepLines ? [] : null;
  }

  get events(): number {
    return this.#events;
  }

  /** `atMs` is virtual. Two lanes of FNV-1a, one of them with another prime: 64 bits against accidents, no more. */
  add(atMs: number, text: string): void {
    const line = `${atMs} ${text}`;
    let a = this.#a;
    let b = this.#b;
    for (let i = 0; i < line.length; i++) {
      const code = line.charCodeAt(i);
      a = Math.imul(a ^ code, PRIME_A);
      b = Math.imul(b ^ code, PRIME_B) ^ (b >>> 15);
    }
    this.#a = a;
    this.#b = b;
    this.#events++;
    this.lines?.push(line);
  }

  /** 16 hex digits. */
  hash(): string {
    const hex = (word: number): string => (word >>> 0).toString(16).padStart(8, "0");
    return hex(this.#a) + hex(this.#b);
  }
}
