/**
 * A KeyValueService over one map, with core's own algebra: one node that is coordinator and only replica. Tests of http
 * see real records, siblings and contexts without a cluster, and can order any failure for the next call.
 */
import { compareBytes, utf8Encode } from "../../src/core/bytes.ts";
import { resolve } from "../../src/core/conflict.ts";
import type { Hasher } from "../../src/core/hasher.ts";
import type { Key } from "../../src/core/key.ts";
import { mergeRecords, newestStamp, putSibling } from "../../src/core/record.ts";
import { reaches } from "../../src/core/session.ts";
import type { CausalRecord, Sibling } from "../../src/core/version.ts";
import { preconditionHolds, presentEtag } from "../../src/replication/precondition.ts";
import type {
  Explanation,
  Failure,
  GetFound,
  GetOutcome,
  GetRequest,
  KeyValueService,
  ListedKey,
  ListOutcome,
  ListRequest,
  PutOutcome,
  PutRequest,
} from "../../src/replication/requests.ts";
import { actorOf } from "./arbitraries.ts";

const ACKS = { primary: 2, fallback: 1, of: 3 };

export class FakeService implements KeyValueService {
  readonly #hasher: Hasher;
  readonly #nowMs: () => number;
  readonly #records = new Map<string, { readonly key: Key; readonly record: CausalRecord }>();
  #counter = 0;
  /** Answered by the next calls, one each, instead of what would have happened. */
  readonly failures: Failure[] = [];
  readonly gets: GetRequest[] = [];
  readonly puts: PutRequest[] = [];
  readonly lists: ListRequest[] = [];
  /** Thrown by the next call: a bug. */
  bug: Error | null = null;

  constructor(hasher: Hasher, nowMs: () => number) {
    this.#hasher = hasher;
    this.#nowMs = nowMs;
  }

  /** As if another coordinator's record had arrived: how siblings come about. */
  merge(key: Key, record: CausalRecord): void {
    const held = this.#records.get(key.id);
    const merged = held === undefined ? record : mergeRecords(held.record, record);
    this.#records.set(key.id, { key, record: merged });
  }

  get(request: GetRequest): Promise<GetOutcome> {
    this.gets.push(request);
    return this.#answer(() => {
      const found = this.#read(request);
      const minimum = request.session?.minimum ?? null;
      if (minimum === null || reaches(found.record, minimum, this.#nowMs())) return found;
      return { status: "session-not-reached", acks: ACKS } as const;
    });
  }

  put(request: PutRequest): Promise<PutOutcome> {
    this.puts.push(request);
    return this.#answer(() => this.#write(request));
  }

  list(request: ListRequest): Promise<ListOutcome> {
    this.lists.push(request);
    return this.#answer(() => this.#page(request));
  }

  explain(): Promise<Explanation> {
    const owner = { id: "a", region: "eu", state: "up" as const, siblings: [] };
    return Promise.resolve({ partition: 7, owners: [owner], fallbacks: ["b"], hints: [] });
  }

  #answer<T>(act: () => T): Promise<T | Failure> {
    if (this.bug !== null) return Promise.reject(this.bug);
    const failure = this.failures.shift();
    return Promise.resolve(failure ?? act());
  }

  #read(request: Pick<GetRequest, "key" | "conflict">): GetFound {
    const record = this.#records.get(request.key.id)?.record ?? null;
    if (record === null) {
      return {
        status: "ok",
        record,
        chosen: [],
        liveSiblings: 0,
        deletedSiblings: 0,
        acks: ACKS,
      };
    }
    const { chosen, live, deletedOrExpired } = resolve({
      record,
      answers: [record],
      homes: 1,
      policy: request.conflict,
      nowMs: this.#nowMs(),
    });
    return {
      status: "ok",
      record,
      chosen,
      liveSiblings: live,
      deletedSiblings: deletedOrExpired,
      acks: ACKS,
    };
  }

  #write(request: PutRequest): PutOutcome {
    const found = this.#read(request);
    if (request.ifMatch !== null || request.ifNoneMatch !== null) {
      const etag = presentEtag(this.#hasher, found);
      if (!preconditionHolds(request, found, etag)) return { status: "precondition-failed", etag };
    }
    const held = found.record;
    const stamp =
      Math.max(
        Math.floor(this.#nowMs() * 1000),
        request.context?.newestStamp ?? 0,
        request.session?.newestStamp ?? 0,
        held === null ? 0 : newestStamp(held),
      ) + 1;
    const sibling: Sibling = {
      dot: { actor: actorOf(1), epoch: 0, counter: ++this.#counter },
      stamp,
      deleted: request.deleted,
      value: request.value,
      valueBytes: request.value.length,
      valueHash: this.#hasher.hash64(request.value),
      contentType: request.contentType,
      metadata: request.metadata,
      expiresAtMs: request.expiresAtMs,
      writeQuorum: 1,
      sloppy: request.sloppy,
      idempotencyKey: request.idempotencyKey,
      bodyDigest: request.bodyDigest,
    };
    const record = putSibling(held, request.context?.entries ?? null, sibling);
    this.#records.set(request.key.id, { key: request.key, record });
    const after = this.#read(request);
    const alone = record.siblings.length === 1;
    return {
      status: "ok",
      dot: sibling.dot,
      stamp,
      context: alone ? { entries: record.context, newestStamp: stamp } : null,
      liveSiblings: after.liveSiblings,
      acks: ACKS,
      etag: presentEtag(this.#hasher, { ...after, chosen: [sibling] }) ?? "",
    };
  }

  #page(request: ListRequest): ListOutcome {
    const inside = [...this.#records.values()]
      .filter(({ key }) => key.namespace === request.namespace.id)
      .filter(({ key }) => compareBytes(key.bytes, request.start) >= 0)
      .filter(({ key }) => request.end === null || compareBytes(key.bytes, request.end) < 0)
      .sort((a, b) => compareBytes(a.key.bytes, b.key.bytes));
    if (request.reverse) inside.reverse();
    const page = inside.slice(0, request.limit);
    const keys: ListedKey[] = [];
    for (const { key } of page) {
      const [chosen] = this.#read({ key, conflict: request.conflict }).chosen;
      if (chosen === undefined) continue;
      keys.push({
        name: key.text,
        expiresAtMs: chosen.expiresAtMs,
        metadata: chosen.metadata,
        valueBytes: chosen.valueBytes,
      });
    }
    const complete = page.length === inside.length;
    const last = page.at(-1)?.key.text ?? "";
    return { status: "ok", keys, complete, lastKey: complete ? null : utf8Encode(last) };
  }
}
