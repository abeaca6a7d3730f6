/** The part of Headers that requests are read by. Names are lower-case. */
export interface HeaderReader {
  get(name: string): string | null;
}

/** Header fields as node:http has parsed them: lower-case names, repeated ones joined. */
export type WireHeaders = Readonly<Record<string, string | readonly string[] | undefined>>;

/** Reads them where they are: making a Headers of them, or looking through it, costs more than reading a value. */
export class WireHeaderReader implements HeaderReader {
  readonly #fields: WireHeaders;

  constructor(fields: WireHeaders) {
    this.#fields = fields;
  }

  get(name: string): string | null {
    const value = this.#fields[name];
    return typeof value === "string" ? value : null;
  }
}
