/** Gets, puts and deletes of one key as the campaign's clients do them: each write carries a context, and is remembered. */
import { type Called, call } from "./call.ts";
import { type Group, type History, NONE, type Writes, withWrite } from "./history.ts";
import { readValue, textOf } from "./values.ts";

export interface KeyState {
  readonly name: string;
  readonly group: Group;
  /** Writes so far: the number of the next one. */
  writes: number;
  readonly pasts: Map<number, Writes>;
}

/** What a client knows of a key: a context and what that has seen, for its next write. */
export interface Known {
  /** Null: nothing was there, not even a deletion. */
  readonly context: string | null;
  readonly seen: Writes;
  readonly elements: readonly number[];
}

/** What one client says in each request, and remembers from one to the next. */
export interface Client {
  readonly process: number;
  readonly session: { readonly id: number; token: string } | null;
}

export interface Asked {
  readonly client: Client;
  readonly node: number;
  readonly url: string;
  /** Options, such as `consistency=one`. */
  readonly query: string;
}

export class KeyClient {
  readonly #history: History;
  /** Told of values that no client wrote. */
  readonly #onWrongBytes: (key: string, text: string) => void;

  constructor(history: History, onWrongBytes: (key: string, text: string) => void) {
    this.#history = history;
    this.#onWrongBytes = onWrongBytes;
  }

  /** Null unless it was answered. */
  async get(state: KeyState, asked: Asked): Promise<Known | null> {
    const invokedMs = performance.now();
    const accept = { accept: "application/json, */*;q=0.5" };
    const called = await call(this.#urlOf(state, asked), "GET", { ...accept, ...sessionOf(asked) });
    const texts = called.outcome === "ok" ? shownTexts(called) : [];
    const shown: number[] = [];
    let seen = NONE;
    let elements: readonly number[] = [];
    for (const text of texts) {
      const value = readValue(state.name, text);
      if (value === null) {
        this.#onWrongBytes(state.name, `node ${asked.node} showed ${text.slice(0, 80)}`);
        continue;
      }
      shown.push(value.write);
      seen = withWrite(seen | (state.pasts.get(value.write) ?? NONE), value.write);
      elements = [...new Set([...elements, ...value.elements])];
    }
    this.#record(state, asked, called, { kind: "get", invokedMs, past: NONE, shown, write: null });
    if (called.outcome !== "ok") return null;
    return { context: called.headers.get("gyre-context"), seen, elements };
  }

  /** Null unless the answer carried a context, so that a write may follow without a get between. */
  async put(
    state: KeyState,
    asked: Asked,
    known: Known,
  ): Promise<{ called: Called; next: Known | null }> {
    const write = state.writes++;
    state.pasts.set(write, known.seen);
    const isSet = state.group === "set";
    const elements = isSet ? [...known.elements, write].sort((a, b) => a - b) : [];
    const invokedMs = performance.now();
    const headers = { "content-type": "text/plain", ...conditionOf(known), ...sessionOf(asked) };
    const body = textOf(state.name, write, elements);
    const called = await call(this.#urlOf(state, asked), "PUT", headers, body);
    this.#record(state, asked, called, {
      kind: "put",
      invokedMs,
      past: known.seen,
      shown: [],
      write,
    });
    const context = called.headers.get("gyre-context");
    if (called.outcome !== "ok" || context === null) return { called, next: null };
    return { called, next: { context, seen: withWrite(known.seen, write), elements } };
  }

  /** REQUIRES: a context. */
  async delete(state: KeyState, asked: Asked, known: Known): Promise<Called> {
    const invokedMs = performance.now();
    const headers = { ...conditionOf(known), ...sessionOf(asked) };
    const called = await call(this.#urlOf(state, asked), "DELETE", headers);
    const fields = { kind: "delete", invokedMs, past: known.seen, shown: [], write: null } as const;
    this.#record(state, asked, called, fields);
    return called;
  }

  #urlOf(state: KeyState, asked: Asked): string {
    return `${asked.url}/v1/kv/default/${state.name}?conflict=siblings${asked.query}`;
  }

  #record(
    state: KeyState,
    { client, node }: Asked,
    called: Called,
    fields: {
      readonly kind: "get" | "put" | "delete";
      readonly invokedMs: number;
      readonly past: Writes;
      readonly shown: readonly number[];
      readonly write: number | null;
    },
  ): void {
    if (client.session !== null) {
      client.session.token = called.headers.get("gyre-session") ?? client.session.token;
    }
    this.#history.add({
      group: state.group,
      key: state.name,
      process: client.process,
      session: client.session?.id ?? null,
      node,
      completedMs: performance.now(),
      outcome: called.outcome,
      answer: called.answer,
      ...fields,
    });
  }
}

/**
 * Without a context the put says that it has seen nothing, by a condition: a blind one would replace what its coordinator
 * holds, and nobody could say what that was.
 */
function conditionOf(known: Known): Record<string, string> {
  return known.context === null ? { "if-none-match": "*" } : { "gyre-context": known.context };
}

function sessionOf({ client }: Asked): Record<string, string> {
  return client.session === null ? {} : { "gyre-session": client.session.token };
}

/** The live values of an answer. */
function shownTexts(called: Called): string[] {
  if (called.status === 404) return [];
  if (called.status === 200) return [called.body];
  const { siblings } = JSON.parse(called.body) as { siblings: { value: string }[] };
  return siblings.map(({ value }) => Buffer.from(value, "base64").toString("utf8"));
}
