/**
 * Responses for Bun, which reads a plain object of headers one by one (170 ns each, measured) but copies a Headers in one go.
 * For each status one Headers is kept; from answer to answer only what differs is set in it, and Bun takes its copy.
 */
type Respond = (
  status: number,
  headers: Readonly<Record<string, string>>,
  body: string | Uint8Array | null,
) => Response;

/** REQUIRES: header names in lower case, none twice. */
export function createResponder(): Respond {
  const templates = new Map<number, Template>();
  return (status, headers, body) => {
    let template = templates.get(status);
    if (template === undefined) {
      template = new Template();
      templates.set(status, template);
    }
    return new Response(body as Uint8Array<ArrayBuffer> | string | null, {
      status,
      headers: template.of(headers),
    });
  };
}

/** The headers of the last answer with this status: its successors mostly have the same names in the same order. */
class Template {
  #headers = new Headers();
  #names: readonly string[] = [];
  #values: string[] = [];

  /** To be copied before the next call. @throws TypeError for a value that no header may have. */
  of(wanted: Readonly<Record<string, string>>): Headers {
    let at = 0;
    for (const name in wanted) {
      if (this.#names[at] !== name) return this.#anew(wanted);
      const value = wanted[name] as string;
      if (this.#values[at] !== value) {
        this.#headers.set(name, value);
        this.#values[at] = value;
      }
      at++;
    }
    return at === this.#names.length ? this.#headers : this.#anew(wanted);
  }

  #anew(wanted: Readonly<Record<string, string>>): Headers {
    this.#headers = new Headers(wanted);
    this.#names = Object.keys(wanted);
    this.#values = Object.values(wanted);
    return this.#headers;
  }
}
