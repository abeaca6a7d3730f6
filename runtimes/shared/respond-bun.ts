/**
 * Responses for Bun, which reads a plain object of headers one by one (170 ns each, measured) but copies a Headers in one go.
 * For each status one Headers is kept; from answer to answer only what differs is set in it, and Bun takes its copy.
 */
type Respond = (
  status: number,
  headers: Readonly<Record<string, string>>,
  body: string | Uint8Array | null,
) => Response;

/** REQUIRES: header names in lower case. */
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

class Template {
  readonly #headers = new Headers();
  /** What stands in them. */
  readonly #values = new Map<string, string>();

  /** To be copied before the next call. @throws TypeError for a value that no header may have. */
  of(wanted: Readonly<Record<string, string>>): Headers {
    let count = 0;
    for (const name in wanted) {
      const value = wanted[name] as string;
      count++;
      if (this.#values.get(name) === value) continue;
      this.#headers.set(name, value);
      this.#values.set(name, value);
    }
    if (count < this.#values.size) this.#drop(wanted);
    return this.#headers;
  }

  /** What an earlier answer had and this one has not. */
  #drop(wanted: Readonly<Record<string, string>>): void {
    for (const name of this.#values.keys()) {
      if (Object.hasOwn(wanted, name)) continue;
      this.#headers.delete(name);
      this.#values.delete(name);
    }
  }
}
