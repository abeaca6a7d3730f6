/** The clients: they read, write with what they have seen, write blindly, delete, list and batch, at nodes of their choice. */

import { systemCrypto } from "../../runtimes/shared/system-crypto.ts";
import { Keyring } from "../../src/cluster/keyring.ts";
import { parseNamespaceId } from "../../src/core/ids.ts";
import { type Key, makeKey } from "../../src/core/key.ts";
import type { Context } from "../../src/core/version.ts";
import type { Env } from "../../src/env/env.ts";
import { Tokens } from "../../src/http/tokens.ts";
import { Calls } from "./calls.ts";
import {
  judgeAcks,
  judgeCreation,
  judgeRead,
  judgeStatus,
  judgeWriteContext,
} from "./checkers/answers.ts";
import { judgeList } from "./checkers/lists.ts";
import {
  batchAnswersOf,
  batchRequest,
  type KeyAnswer,
  keyAnswerOf,
  readRequest,
  urlOf,
  writeRequest,
} from "./client-call.ts";
import type { Condition, Op, OpKind } from "./history.ts";
import type { KeyState } from "./ledger.ts";
import type { SeededRandom } from "./seeded-random.ts";
import { majority, readTerms, type Terms, writeTerms } from "./terms.ts";
import { SECRET, type World } from "./world.ts";

/** What a client holds of a key: the newest answer that gave it a context. */
interface Known {
  readonly token: string;
  readonly seen: ReadonlySet<number>;
  readonly etag: string | null;
}

type Client = Map<string, Known>;

export class Workload {
  readonly #world: World;
  readonly #random: SeededRandom;
  readonly #calls: Calls;
  readonly #tokens: Tokens;
  readonly #coreKeys = new Map<string, Key>();
  readonly #clients: Client[] = [];
  #stopped = false;

  constructor(world: World) {
    this.#world = world;
    this.#random = world.fork();
    this.#calls = new Calls(world);
    const env = { crypto: systemCrypto, clock: world.clock } as Partial<Env> as Env;
    this.#tokens = new Tokens(env, new Keyring(systemCrypto, [SECRET]));
    for (let i = 0; i < world.options.workload.keys; i++) {
      const name = `key-${i}`;
      world.ledger.addKey(name);
      this.#coreKeys.set(name, makeKey(world.hasher, parseNamespaceId(1), name));
    }
    for (let i = 0; i < world.options.workload.clients; i++) this.#clients.push(new Map());
  }

  /** Operations that have been neither answered nor given up. */
  get open(): number {
    return this.#calls.open;
  }

  /** No operation begins any more but what is called from outside. */
  stop(): void {
    this.#stopped = true;
  }

  /** Schedules all operations over the next `durationMs`. */
  schedule(durationMs: number): void {
    const { options, clock } = this.#world;
    let left = options.workload.operations;
    while (left > 0) {
      const burst = Math.min(left, this.#random.integer(1, options.workload.burst));
      left -= burst;
      const atMs = this.#random.between(0, durationMs);
      const hot = this.#random.chance(0.5) ? this.#pickKey() : null;
      for (let i = 0; i < burst; i++) clock.after(atMs, () => this.#startOne(hot));
    }
  }

  /** Strict reads at the keys' own homes, in the next `withinMs`: what damage has done is seen soon or never. */
  probe(keys: readonly KeyState[], withinMs: number): void {
    for (const key of keys) {
      for (const home of key.homes) {
        this.#world.clock.after(this.#random.between(0, withinMs), () => {
          if (this.#stopped || !this.#world.node(home).alive) return;
          const needed = majority(key.homes.length);
          this.read(key, home, { query: "consistency=quorum&sloppy=false", needed });
        });
      }
    }
  }

  #startOne(hot: KeyState | null): void {
    if (this.#stopped) return;
    const node = this.#pickNode();
    if (node === null) return;
    const key = hot ?? this.#pickKey();
    const client = this.#random.pick(this.#clients);
    switch (this.#random.weighted(this.#world.options.workload.mix)) {
      case 0:
        this.#write("put", key, node, client, null);
        break;
      case 1:
        this.#write("put", key, node, client, this.#knownOf(client, key));
        break;
      case 2: {
        const blind = this.#random.chance(0.3);
        this.#write("delete", key, node, client, blind ? null : this.#knownOf(client, key));
        break;
      }
      case 3:
        this.read(key, node, readTerms(this.#random, key.homes.length), client);
        break;
      case 4:
        this.#list(node);
        break;
      case 5:
        this.#batch(node, client);
        break;
      default:
        this.#conditional(key, node, client);
    }
  }

  /** A get; `client` remembers its context, `then` sees the answer. */
  read(
    key: KeyState,
    node: number,
    terms: Terms,
    client: Client = new Map(),
    then: (answer: KeyAnswer | null) => void = () => undefined,
  ): void {
    const op = this.#calls.begin("get", key, node, terms, null, "none");
    const request = readRequest(op);
    this.#calls.call([op], request, (response, body) => {
      const answer = keyAnswerOf(response, body, true, (token) => this.#readToken(key, token));
      this.#checkDurable(key, answer, `get ${op.id}`);
      return () => {
        this.#readDone(op, key, client, answer);
        then(answer);
      };
    });
    this.#calls.onGivenUp(op, () => then(null));
  }

  #write(
    kind: "put" | "delete",
    key: KeyState,
    node: number,
    client: Client,
    known: Known | null,
    condition: { readonly name: string; readonly value: string } | null = null,
  ): void {
    const { workload } = this.#world.options;
    const terms = writeTerms(this.#random, key.homes.length);
    const seen = known?.seen ?? null;
    const op = this.#calls.begin(kind, key, node, terms, seen, conditionOf(condition));
    const request = writeRequest(op, {
      bytes: this.#random.chance(workload.largeValues) ? 2_500 : 0,
      token: known?.token ?? null,
      ttlSeconds:
        kind === "put" && this.#random.chance(workload.expiring)
          ? this.#random.integer(1, 3_000) / 1_000
          : 0,
      condition,
    });
    this.#calls.call([op], request, (response, body) => {
      const answer = keyAnswerOf(response, body, false, (token) => this.#readToken(key, token));
      this.#checkDurable(key, answer, `the answer to op ${op.id}`);
      return () => this.#writeDone(op, key, client, answer);
    });
  }

  #conditional(key: KeyState, node: number, client: Client): void {
    const etag = client.get(key.name)?.etag ?? null;
    const condition =
      etag === null || this.#random.chance(0.3)
        ? { name: "if-none-match", value: "*" }
        : { name: "if-match", value: etag };
    this.#write(this.#random.chance(0.2) ? "delete" : "put", key, node, client, null, condition);
  }

  #batch(node: number, client: Client): void {
    const keys = [...this.#world.ledger.keys.values()].filter(() => this.#random.chance(0.6));
    if (keys.length === 0) return;
    const knowns = keys.map((key) =>
      this.#random.chance(0.6) ? (client.get(key.name) ?? null) : null,
    );
    const ops = keys.map((key, index) => {
      const kind = this.#random.pick<OpKind>(["get", "get", "put", "put", "delete"]);
      const seen = kind === "get" ? null : (knowns[index]?.seen ?? null);
      const terms = { query: "batch", needed: majority(key.homes.length) };
      return this.#calls.begin(kind, key, node, terms, seen, "none");
    });
    this.#world.count("batch");
    const tokens = knowns.map((known) => known?.token ?? null);
    this.#calls.call(ops, batchRequest(node, ops, tokens), (response, body) => {
      judgeStatus(this.#report, "list", response.status, "a batch");
      if (response.status !== 200) return () => this.#calls.giveUp(ops);
      const answers = batchAnswersOf(body, (index, token) =>
        this.#readToken(keys[index] as KeyState, token),
      );
      answers.forEach((answer, index) => {
        this.#checkDurable(keys[index] as KeyState, answer, "a batch");
      });
      return () => {
        ops.forEach((op, index) => {
          const answer = answers[index] as KeyAnswer;
          const key = keys[index] as KeyState;
          if (op.kind === "get") this.#readDone(op, key, client, answer);
          else this.#writeDone(op, key, client, answer);
        });
      };
    });
  }

  #list(node: number): void {
    const key = this.#pickKey();
    const op = this.#calls.begin("list", key, node, { query: "", needed: 0 }, null, "none");
    const reverse = this.#random.chance(0.3);
    const url = urlOf(
      node,
      "/v1/keys/default",
      `limit=${this.#random.integer(1, 8)}${reverse ? "&reverse=true" : ""}`,
    );
    this.#calls.call([op], new Request(url), (response, body) => () => {
      this.#calls.close(op, response.status === 200 ? "ok" : "fail", response.status, body.length);
      judgeStatus(this.#report, "list", response.status, `list ${op.id}`);
      if (response.status === 200) judgeList(this.#world, op, reverse, body);
    });
  }

  #readDone(op: Op, key: KeyState, client: Client, answer: KeyAnswer): void {
    const { ledger } = this.#world;
    const ok = answer.status < 500;
    this.#calls.close(op, ok ? "ok" : "fail", answer.status, answer.live);
    judgeStatus(this.#report, "get", answer.status, `get ${op.id} (${op.terms})`);
    if (!ok) return;
    if (answer.status === 300) this.#world.count("answer with siblings");
    if (answer.status === 404 && answer.token !== null) this.#world.count("tombstone won");
    judgeAcks(this.#report, op, answer.acks);
    judgeRead(ledger, this.#report, op, key, answer);
    this.#remember(
      client,
      key,
      answer,
      answer.context === null ? new Set() : ledger.seenBy(key, answer.context),
    );
    if (answer.token !== null) this.#modify(key, client);
  }

  /** Read, modify, write: the put soon after, with the context of the get, at whatever node. */
  #modify(key: KeyState, client: Client): void {
    const node = this.#pickNode();
    if (this.#stopped || node === null || !this.#random.chance(0.3)) return;
    const known = client.get(key.name) ?? null;
    this.#world.clock.after(this.#random.between(0, 20), () => {
      if (this.#stopped || !this.#world.node(node).alive) return;
      this.#write("put", key, node, client, known);
    });
  }

  #writeDone(op: Op, key: KeyState, client: Client, answer: KeyAnswer): void {
    judgeStatus(this.#report, op.kind, answer.status, `op ${op.id} (${op.terms})`);
    const { status } = answer;
    if (status === 204) this.#acknowledged(op, key, client, answer);
    else if (status === 503 && answer.indeterminate && answer.code === "quorum_not_reached") {
      this.#world.count("write indeterminate");
      this.#calls.close(op, "info", status, 0);
    } else {
      this.#world.count(`write refused ${answer.code}`);
      this.#calls.close(op, "fail", status, 0);
      if (key.mintsOf.has(op.id)) {
        this.#report(
          "honest-answers",
          `op ${op.id} was answered ${status} ${answer.code}, but it was stored`,
        );
      }
    }
  }

  #acknowledged(op: Op, key: KeyState, client: Client, answer: KeyAnswer): void {
    op.acks = answer.acks;
    this.#calls.close(op, "ok", 204, answer.acks);
    if (!key.mintsOf.has(op.id)) {
      this.#report(
        "lost-writes",
        `op ${op.id} of ${key.name} was acknowledged, but nobody stored it`,
      );
    }
    judgeAcks(this.#report, op, answer.acks);
    if (op.condition === "create") judgeCreation(this.#world, op, key);
    key.acked.push(op);
    if (answer.acks >= majority(key.homes.length)) key.strong.push(op);
    if (!key.homes.includes(op.node)) this.#world.count("forwarded");
    if (answer.context === null) return;
    judgeWriteContext(this.#report, op, key, answer.context);
    this.#remember(client, key, answer, new Set([op.id, ...(op.past ?? [])]));
  }

  #remember(client: Client, key: KeyState, answer: KeyAnswer, seen: ReadonlySet<number>): void {
    if (answer.token === null) return;
    client.set(key.name, { token: answer.token, seen, etag: answer.etag });
  }

  /** Mostly the client's own; now and then another's, as when a token is passed on. */
  #knownOf(client: Client, key: KeyState): Known | null {
    const from = this.#random.chance(0.8) ? client : this.#random.pick(this.#clients);
    return from.get(key.name) ?? null;
  }

  #checkDurable(key: KeyState, answer: KeyAnswer, who: string): void {
    if (answer.context !== null) key.dots.checkDurable(answer.context, who);
  }

  #readToken(key: KeyState, token: string): Context {
    return this.#tokens.readContext(this.#coreKeys.get(key.name) as Key, token).entries;
  }

  readonly #report = (checker: string, text: string): void => this.#world.violate(checker, text);

  #pickKey(): KeyState {
    return this.#random.pick([...this.#world.ledger.keys.values()]);
  }

  #pickNode(): number | null {
    const alive = this.#world.nodes.filter((node) => node.alive);
    return alive.length === 0 ? null : this.#random.pick(alive).index;
  }
}

function conditionOf(header: { readonly name: string } | null): Condition {
  if (header === null) return "none";
  return header.name === "if-match" ? "match" : "create";
}
