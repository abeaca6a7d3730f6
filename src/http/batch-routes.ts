/** `POST /v1/batch/{ns}`: up to 1,000 gets, puts and deletes, independent of each other, a status for each. */

import type { Key } from "../core/key.ts";
import { BATCH_BYTES_MAX } from "../core/limits.ts";
import { demandOf, type Session } from "../core/session.ts";
import type { GetFound } from "../replication/requests.ts";
import { type BatchItem, batchFormOf, batchItemsOf } from "./batch-codec.ts";
import { type BatchContext, keyOf, operationOf, putRequestOf } from "./batch-item.ts";
import { readBody } from "./body.ts";
import { answer, type Call, plainHeaders } from "./call.ts";
import type { HttpParts } from "./http-parts.ts";
import { findNamespace, pathTail } from "./key-target.ts";
import { parseTerms } from "./options.ts";
import { BATCH_PREFIX } from "./paths.ts";
import { badRequest, HttpProblem, problemOfFailure } from "./problem.ts";
import { metadataJson, siblingJson, valueBytesOf } from "./representation.ts";
import type { Route } from "./route.ts";
import { giveSession, readSession, sessionAfterRead, sessionAfterWrite } from "./session.ts";
import { parseQuery, type Query } from "./target.ts";

export const BATCH_OPTIONS = ["consistency", "r", "w", "sloppy", "conflict"] as const;

/** Operations under way at once: keeps replicas busy without holding more than so many large values in memory. */
const CONCURRENT_OPS = 32;
/** What an item of the answer takes beside its value, metadata and context, roughly. */
const ITEM_OVERHEAD_BYTES = 512;

type ItemAnswer = Record<string, unknown> & { readonly status: number };

export function batchRoute(parts: HttpParts): Route {
  return { method: "POST", path: "/v1/batch/{ns}", handler: (call) => batch(parts, call) };
}

async function batch(parts: HttpParts, call: Call): Promise<Response> {
  const session = readSession(parts.tokens, call);
  const query = parseQuery(call.query, BATCH_OPTIONS);
  const form = batchFormOf(call.headers.get("content-type"));
  const view = await findNamespace(parts.deps, pathTail(call, BATCH_PREFIX));
  const context: BatchContext = {
    parts,
    view,
    form,
    reads: parseTerms(without(query, "w"), view.settings, "r"),
    writes: parseTerms(without(query, "r"), view.settings, "w"),
    session,
  };
  const items = batchItemsOf(form.decode(await readBody(call, BATCH_BYTES_MAX)));
  refuseDuplicates(items);
  const run = new BatchRun(context, items);
  const results = await run.run();
  const headers = plainHeaders(call, form.contentType);
  const response = answer(call, 200, headers, form.encode({ results }));
  return run.session === null ? response : giveSession(response, parts.tokens, run.session);
}

function without(query: Query, name: string): Query {
  if (!query.has(name)) return query;
  return new Map([...query].filter(([option]) => option !== name));
}

/** Operations run side by side: two on one key would have no order. */
function refuseDuplicates(items: readonly BatchItem[]): void {
  const seen = new Map<unknown, number>();
  items.forEach((item, index) => {
    const key = item["key"];
    const earlier = seen.get(key);
    if (earlier !== undefined && typeof key === "string") {
      throw badRequest(`Operations ${earlier} and ${index} have the same key: want each key once`);
    }
    seen.set(key, index);
  });
}

class BatchRun {
  readonly #context: BatchContext;
  readonly #items: readonly BatchItem[];
  readonly #results: ItemAnswer[];
  #next = 0;
  #answerBytes = 0;
  /** With what the items that are done have seen. */
  session: Session | null;

  constructor(context: BatchContext, items: readonly BatchItem[]) {
    this.#context = context;
    this.#items = items;
    this.#results = items.map(() => ({ status: 500 }));
    this.session = context.session;
  }

  async run(): Promise<readonly ItemAnswer[]> {
    const lanes = Array.from({ length: CONCURRENT_OPS }, () => this.#lane());
    await Promise.all(lanes);
    return this.#results;
  }

  async #lane(): Promise<void> {
    for (let index = this.#next++; index < this.#items.length; index = this.#next++) {
      this.#results[index] = await this.#answered(this.#items[index] as BatchItem);
    }
  }

  async #answered(item: BatchItem): Promise<ItemAnswer> {
    try {
      const operation = operationOf(item);
      const key = keyOf(this.#context, item);
      if (operation === "get") return await this.#get(key);
      return await this.#put(item, key, operation === "delete");
    } catch (error) {
      if (error instanceof HttpProblem) return problemJson(error);
      const { logger } = this.#context.parts.deps.env;
      logger.error("batch-item-failed", { error: String(error) });
      return problemJson(new HttpProblem("internal", "The node met a bug and logged it"));
    }
  }

  async #get(key: Key): Promise<ItemAnswer> {
    const { parts, view, reads, session } = this.#context;
    if (this.#answerBytes >= BATCH_BYTES_MAX) throw answerTooLarge();
    const found = await parts.deps.service.get({
      key,
      namespace: view.entry,
      consistency: reads.consistency,
      sloppy: reads.sloppy,
      conflict: reads.conflict,
      timeoutMs: parts.deps.config.requestTimeoutMs,
      session: session === null ? null : demandOf(session, key.hash),
    });
    if (found.status !== "ok") throw problemOfFailure(found, view.entry.name);
    const json = this.#foundJson(key, found);
    if (this.session !== null) {
      this.session = sessionAfterRead(this.session, parts.tokens.sessionNowMs(), key, found);
    }
    return json;
  }

  #foundJson(key: Key, found: GetFound): ItemAnswer {
    const { parts, form } = this.#context;
    const common = {
      ...(found.record === null ? {} : { context: parts.tokens.ofRecord(key, found.record) }),
      siblingCount: found.liveSiblings,
      acks: found.acks,
    };
    const [first, ...others] = found.chosen;
    if (first === undefined) {
      const problem = new HttpProblem("not_found", "There is no value under this key");
      return { ...problemJson(problem), ...common };
    }
    this.#spend(found);
    if (others.length > 0) {
      const siblings = found.chosen.map((sibling) => siblingJson(sibling, form.writeValue));
      return { status: 300, ...common, siblings };
    }
    const head = parts.representations.headOf(first);
    return {
      status: 200,
      value: form.writeValue(valueBytesOf(first)),
      contentType: head.contentType,
      ...(first.metadata === "" ? {} : { metadata: metadataJson(first.metadata) }),
      ...(first.expiresAtMs === 0 ? {} : { expires: first.expiresAtMs / 1000 }),
      etag: head.etag,
      ...common,
    };
  }

  /** @throws HttpProblem 413 when the answer would grow beyond its limit. */
  #spend(found: GetFound): void {
    let bytes = ITEM_OVERHEAD_BYTES + 40 * (found.record?.context.length ?? 0);
    for (const sibling of found.chosen) {
      bytes += this.#context.form.valueCost(sibling.valueBytes) + 2 * sibling.metadata.length;
    }
    if (this.#answerBytes + bytes > BATCH_BYTES_MAX) {
      this.#answerBytes = BATCH_BYTES_MAX;
      throw answerTooLarge();
    }
    this.#answerBytes += bytes;
  }

  async #put(item: BatchItem, key: Key, deleted: boolean): Promise<ItemAnswer> {
    const { parts, view } = this.#context;
    const request = putRequestOf(this.#context, item, key, deleted);
    const done = await parts.deps.service.put(request);
    if (done.status !== "ok") throw problemOfFailure(done, view.entry.name);
    if (this.session !== null) {
      this.session = sessionAfterWrite(this.session, parts.tokens.sessionNowMs(), request, done);
    }
    return {
      status: 204,
      ...(deleted ? {} : { etag: done.etag }),
      ...(done.context === null
        ? {}
        : { context: parts.tokens.ofContext(key, done.context, [done.dot]) }),
      siblingCount: done.liveSiblings,
      acks: done.acks,
    };
  }
}

function answerTooLarge(): HttpProblem {
  return new HttpProblem(
    "payload_too_large",
    "The answer to the whole batch would be larger than 64 MiB: get this key in another request",
  );
}

function problemJson(problem: HttpProblem): ItemAnswer {
  const error = { code: problem.code, detail: problem.message, ...problem.extra };
  return { status: problem.status, error };
}
