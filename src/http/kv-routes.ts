/** GET, HEAD, PUT and DELETE of `/v1/kv/{ns}/{key}`: the hot path. No URL object, no schema library, no middleware. */
import { utf8Encode } from "../core/bytes.ts";
import { demandOf, type Session } from "../core/session.ts";
import type {
  GetFound,
  GetOutcome,
  GetRequest,
  PutDone,
  PutOutcome,
  PutRequest,
} from "../replication/requests.ts";
import { prefersJson } from "./accept.ts";
import {
  answer,
  answerEmpty,
  answerProblem,
  answerThrown,
  type Call,
  type HeaderRecord,
  plainHeaders,
  serverTiming,
  VARY,
} from "./call.ts";
import type { HttpDeps } from "./deps.ts";
import { matchesWeakly } from "./entity-tags.ts";
import type { HttpCounters } from "./http-counters.ts";
import type { HttpParts } from "./http-parts.ts";
import { type KeyTarget, locateKey } from "./key-target.ts";
import { parseTerms } from "./options.ts";
import { KV_PREFIX } from "./paths.ts";
import { HttpProblem, problemOfFailure } from "./problem.ts";
import { readDelete, readPut } from "./put-request.ts";
import {
  acksText,
  cacheControl,
  type Representations,
  type SiblingHead,
  siblingJson,
  VALUE_CSP,
  valueBytesOf,
} from "./representation.ts";
import type { Route } from "./route.ts";
import { giveSession, readSession, sessionAfterRead, sessionAfterWrite } from "./session.ts";
import type { Tokens } from "./tokens.ts";

const ALLOW = "GET, HEAD, PUT, DELETE";
export const GET_OPTIONS = ["key", "consistency", "r", "sloppy", "conflict"] as const;
export const PUT_OPTIONS = [
  "key",
  "consistency",
  "w",
  "sloppy",
  "conflict",
  "ttl",
  "expires",
] as const;
export const DELETE_OPTIONS = ["key", "consistency", "w", "sloppy", "conflict"] as const;

export class KvRoutes {
  readonly #deps: HttpDeps;
  readonly #tokens: Tokens;
  readonly #representations: Representations;
  readonly #counters: HttpCounters;

  constructor(parts: HttpParts) {
    this.#deps = parts.deps;
    this.#tokens = parts.tokens;
    this.#representations = parts.representations;
    this.#counters = parts.counters;
  }

  routes(): readonly Route[] {
    const path = "/v1/kv/{ns}/{key}";
    const handler = (call: Call): Response | Promise<Response> => this.handle(call);
    return [
      { method: "GET", path, handler },
      { method: "PUT", path, handler },
      { method: "DELETE", path, handler },
    ];
  }

  /** Never throws or rejects. A promise only where something is waited for: it costs as much as the rest of a get. */
  handle(call: Call): Response | Promise<Response> {
    if (call.method !== "GET" && call.method !== "HEAD") return this.#write(call);
    try {
      const answering = this.#read(call);
      if (answering instanceof Promise) return this.#later(call, answering);
      return this.#counted(call, answering);
    } catch (error) {
      return this.#counted(call, answerThrown(call, error));
    }
  }

  async #later(call: Call, answering: Promise<Response>): Promise<Response> {
    let response: Response;
    try {
      response = await answering;
    } catch (error) {
      response = answerThrown(call, error);
    }
    return this.#counted(call, response);
  }

  #counted(call: Call, response: Response): Response {
    this.#counters.count(call, response.status);
    return response;
  }

  #read(call: Call): Response | Promise<Response> {
    const session = readSession(this.#tokens, call);
    const located = locateKey(this.#deps, call, KV_PREFIX, GET_OPTIONS);
    if (!(located instanceof Promise)) return this.#readAt(call, located, session);
    return located.then((target) => this.#readAt(call, target, session));
  }

  #readAt(call: Call, target: KeyTarget, session: Session | null): Response | Promise<Response> {
    const outcome = this.#deps.service.get(this.#getRequest(target, session));
    if (!(outcome instanceof Promise)) return this.#shown(call, target, session, outcome);
    return outcome.then((late) => this.#shown(call, target, session, late));
  }

  #shown(call: Call, target: KeyTarget, session: Session | null, outcome: GetOutcome): Response {
    const response = this.#got(call, target, outcome);
    if (session === null || outcome.status !== "ok") return response;
    const seen = sessionAfterRead(session, this.#tokens.sessionNowMs(), target.key, outcome);
    return giveSession(response, this.#tokens, seen);
  }

  #getRequest(target: KeyTarget, session: Session | null): GetRequest {
    const terms = parseTerms(target.query, target.settings, "r");
    return {
      key: target.key,
      namespace: target.entry,
      consistency: terms.consistency,
      sloppy: terms.sloppy,
      conflict: terms.conflict,
      timeoutMs: this.#deps.config.requestTimeoutMs,
      session: session === null ? null : demandOf(session, target.key.hash),
    };
  }

  #got(call: Call, target: KeyTarget, outcome: GetOutcome): Response {
    if (outcome.status !== "ok") {
      return answerProblem(call, problemOfFailure(outcome, target.entry.name));
    }
    const first = outcome.chosen[0];
    if (first === undefined) return this.#absent(call, target, outcome);
    if (outcome.chosen.length > 1) return this.#multiple(call, target, outcome);
    const head = this.#representations.headOf(first);
    return this.#value(call, target, outcome, head, head.body ?? valueBytesOf(first));
  }

  #value(
    call: Call,
    target: KeyTarget,
    found: GetFound,
    head: SiblingHead,
    value: string | Uint8Array,
  ): Response {
    const headers: HeaderRecord = {
      "content-type": head.contentType,
      etag: head.etag,
      "gyre-context": this.#context(target, found),
      "gyre-siblings": String(found.liveSiblings),
      "gyre-acks": acksText(found.acks),
      "last-modified": head.lastModified,
      "cache-control": cacheControl(target.settings),
      vary: VARY,
      "x-content-type-options": "nosniff",
      "content-security-policy": VALUE_CSP,
      "server-timing": serverTiming(call),
      "x-request-id": call.requestId,
    };
    if (found.deletedSiblings > 0) headers["gyre-deleted-siblings"] = String(found.deletedSiblings);
    if (head.metadata !== null) headers["gyre-metadata"] = head.metadata;
    if (head.expires !== null) headers["gyre-expires"] = head.expires;
    if (call.cors !== null) Object.assign(headers, call.cors);
    const known = call.headers.get("if-none-match");
    if (known !== null && matchesWeakly(known, head.etag)) return notModified(call, headers);
    return answer(call, 200, headers, value);
  }

  /** 404, with the context of what was deleted or has expired, so that a write can replace it. */
  #absent(call: Call, target: KeyTarget, found: GetFound): Response {
    const problem = new HttpProblem("not_found", "There is no value under this key", {
      extra: { siblings: found.liveSiblings },
    });
    return answerProblem(call, problem, this.#recordHeaders(target, found));
  }

  #multiple(call: Call, target: KeyTarget, found: GetFound): Response {
    const asJson = prefersJson(call.headers.get("accept"));
    const etag = this.#representations.etagOf(asJson ? "json" : "multipart", found.chosen);
    const headers = plainHeaders(call, null);
    Object.assign(headers, this.#recordHeaders(target, found));
    headers["etag"] = etag;
    headers["content-security-policy"] = VALUE_CSP;
    const known = call.headers.get("if-none-match");
    if (known !== null && matchesWeakly(known, etag)) return notModified(call, headers);
    if (asJson) {
      headers["content-type"] = "application/json";
      const context = headers["gyre-context"] ?? null;
      const body = JSON.stringify({
        context,
        siblings: found.chosen.map((sibling) => siblingJson(sibling)),
      });
      return answer(call, 300, headers, utf8Encode(`${body}\n`));
    }
    const { contentType, body } = this.#representations.multipart(found.chosen);
    headers["content-type"] = contentType;
    return answer(call, 300, headers, body);
  }

  #recordHeaders(target: KeyTarget, found: GetFound): HeaderRecord {
    const headers: HeaderRecord = {
      "gyre-siblings": String(found.liveSiblings),
      "gyre-acks": acksText(found.acks),
    };
    if (found.deletedSiblings > 0) headers["gyre-deleted-siblings"] = String(found.deletedSiblings);
    if (found.record !== null) headers["gyre-context"] = this.#context(target, found);
    return headers;
  }

  #context(target: KeyTarget, found: GetFound): string {
    return found.record === null ? "" : this.#tokens.ofRecord(target.key, found.record);
  }

  /** One asynchronous function: each one more would cost turns of the microtasks. Never rejects. */
  async #write(call: Call): Promise<Response> {
    let response: Response;
    try {
      const options = writeOptions(call.method);
      const session = readSession(this.#tokens, call);
      const located = locateKey(this.#deps, call, KV_PREFIX, options);
      const target = located instanceof Promise ? await located : located;
      const request =
        call.method === "PUT"
          ? await readPut(this.#deps, this.#tokens, call, target, session)
          : readDelete(this.#deps, this.#tokens, call, target, session);
      const outcome = await this.#deps.service.put(request);
      response = this.#written(call, target, session, request, outcome);
    } catch (error) {
      response = answerThrown(call, error);
    }
    return this.#counted(call, response);
  }

  #written(
    call: Call,
    target: KeyTarget,
    session: Session | null,
    request: PutRequest,
    outcome: PutOutcome,
  ): Response {
    if (outcome.status !== "ok") {
      return answerProblem(call, problemOfFailure(outcome, target.entry.name));
    }
    const response = this.#stored(call, target, request.deleted, outcome);
    if (session === null) return response;
    const after = sessionAfterWrite(session, this.#tokens.sessionNowMs(), request, outcome);
    return giveSession(response, this.#tokens, after);
  }

  #stored(call: Call, target: KeyTarget, deleted: boolean, done: PutDone): Response {
    const headers: HeaderRecord = {
      "gyre-siblings": String(done.liveSiblings),
      "gyre-acks": acksText(done.acks),
      "cache-control": "no-store",
      vary: VARY,
      "server-timing": serverTiming(call),
      "x-request-id": call.requestId,
    };
    // A tombstone has no representation that a tag could name.
    if (!deleted) headers["etag"] = done.etag;
    if (done.context !== null) {
      headers["gyre-context"] = this.#tokens.ofContext(target.key, done.context, [done.dot]);
    }
    if (this.#deps.config.durability === "process") headers["gyre-durability"] = "process";
    if (call.cors !== null) Object.assign(headers, call.cors);
    return answerEmpty(call, 204, headers);
  }
}

/** @throws HttpProblem 405. */
function writeOptions(method: string): readonly string[] {
  if (method === "PUT") return PUT_OPTIONS;
  if (method === "DELETE") return DELETE_OPTIONS;
  throw new HttpProblem("method_not_allowed", `Want one of ${ALLOW}`, {
    headers: { allow: ALLOW },
  });
}

/** RFC 9110, section 15.4.5: the headers that a 200 would have, without those that describe a body. */
function notModified(call: Call, headers: HeaderRecord): Response {
  delete headers["content-type"];
  return answerEmpty(call, 304, headers);
}
