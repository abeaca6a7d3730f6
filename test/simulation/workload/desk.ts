/** What every kind of operation shares: the world, chance, the calls under way, and how tokens are read. */

import { Keyring } from "../../../src/cluster/keyring.ts";
import { utf8Decode } from "../../../src/core/bytes.ts";
import { parseNamespaceId } from "../../../src/core/ids.ts";
import { type Key, makeKey } from "../../../src/core/key.ts";
import { demandOf } from "../../../src/core/session.ts";
import type { Context } from "../../../src/core/version.ts";
import type { Env } from "../../../src/env/env.ts";
import { Tokens } from "../../../src/http/tokens.ts";
import { Calls } from "../calls.ts";
import { judgeToken } from "../checkers/sessions.ts";
import type { KeyAnswer } from "../client-call.ts";
import type { Op } from "../history.ts";
import type { KeyState } from "../key-state.ts";
import { type SeededRandom, streamOf } from "../seeded-random.ts";
import { simCrypto } from "../sim-crypto.ts";
import { SECRET, type World } from "../world.ts";
import { Client, type Known, type Session, sessionAfter } from "./client.ts";

/** How many of the clients of a world that has sessions have one. */
const SESSION_SHARE = 0.5;

export class Desk {
  readonly world: World;
  readonly random: SeededRandom;
  /** For lists that go on. */
  readonly pages: SeededRandom;
  readonly calls: Calls;
  readonly clients: Client[] = [];
  stopped = false;
  readonly #tokens: Tokens;
  readonly #coreKeys = new Map<string, Key>();

  constructor(world: World) {
    this.world = world;
    this.random = world.fork();
    this.pages = streamOf(world.options.seed, "pages of lists");
    this.calls = new Calls(world);
    const env = { crypto: simCrypto, clock: world.clock } as Partial<Env> as Env;
    this.#tokens = new Tokens(env, new Keyring(simCrypto, [SECRET]), () => null);
    const { clients, sessions } = world.options.workload;
    for (let i = 0; i < clients; i++) {
      this.clients.push(new Client(sessions && this.random.chance(SESSION_SHARE)));
    }
  }

  pickKey(): KeyState {
    return this.random.pick([...this.world.ledger.keys.values()]);
  }

  /** Any node that runs, a gateway like another. */
  pickNode(random = this.random): number | null {
    const alive = this.world.nodes.filter((node) => node.alive);
    return alive.length === 0 ? null : random.pick(alive).index;
  }

  /** Mostly the client's own; now and then another's, as when a token is passed on. */
  knownOf(client: Client, key: KeyState): Known | null {
    const from = this.random.chance(0.8) ? client : this.random.pick(this.clients);
    return from.known.get(key.name) ?? null;
  }

  remember(
    client: Client,
    key: KeyState,
    answer: KeyAnswer,
    seen: ReadonlySet<number>,
    tagged: readonly number[],
  ): void {
    if (answer.token === null) return;
    const { token, etag } = answer;
    client.known.set(key.name, { token, seen, etag, tagged });
  }

  /** The session goes on from this answer. */
  goOn(
    client: Client,
    session: Session | null,
    op: Op,
    key: KeyState,
    answer: KeyAnswer,
    shown: Iterable<number>,
  ): void {
    if (session === null) return;
    if (answer.session === null) {
      this.report("sessions", `op ${op.id} of ${key.name} is answered without its session's token`);
      return;
    }
    client.session = sessionAfter(session, answer.session, key.name, shown);
    const { ledger } = this.world;
    const token = this.#tokens.readSession(answer.session);
    for (const [name, seen] of client.session.seen) {
      const of = ledger.key(name);
      const { minimum } = demandOf(token, this.#coreKey(of).hash);
      judgeToken(ledger, this.report, op, of, seen, minimum?.dots ?? []);
    }
  }

  checkDurable(key: KeyState, answer: KeyAnswer, who: string): void {
    if (answer.context !== null) key.dots.checkDurable(answer.context, who);
  }

  readToken(key: KeyState, token: string): Context {
    return this.#tokens.readContext(this.#coreKey(key), token).entries;
  }

  /** The last key that a page of this list has looked at; an empty text for none. */
  readCursor(key: KeyState, reverse: boolean, cursor: string): string {
    const namespace = parseNamespaceId(key.namespace);
    const range = { namespace, start: new Uint8Array(), end: null, reverse };
    return utf8Decode(this.#tokens.readCursor(range, cursor));
  }

  #coreKey(key: KeyState): Key {
    let coreKey = this.#coreKeys.get(key.name);
    if (coreKey === undefined) {
      coreKey = makeKey(this.world.hasher, parseNamespaceId(key.namespace), key.name);
      this.#coreKeys.set(key.name, coreKey);
    }
    return coreKey;
  }

  readonly report = (checker: string, text: string): void => this.world.violate(checker, text);
}
