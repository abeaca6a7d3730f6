/** Gets and lists. */
import { judgeAcks, judgeRead, judgeStatus } from "../checkers/answers.ts";
import { judgeList } from "../checkers/lists.ts";
import { judgeSession } from "../checkers/sessions.ts";
import { type KeyAnswer, keyAnswerOf, readRequest, urlOf } from "../client-call.ts";
import type { Op } from "../history.ts";
import type { KeyState } from "../key-state.ts";
import type { Terms } from "../terms.ts";
import { Client, type Session } from "./client.ts";
import type { Desk } from "./desk.ts";

const NOBODY = new Client(false);

export interface ReadCall {
  readonly key: KeyState;
  readonly node: number;
  readonly terms: Terms;
  /** Remembers the context and the session; nobody, unless it is given. */
  readonly client?: Client;
  /** Sees the answer; null when there is none. */
  readonly onAnswer?: (answer: KeyAnswer | null) => void;
}

export function read(desk: Desk, call: ReadCall): void {
  const { key, node, terms, client = NOBODY, onAnswer = () => undefined } = call;
  const { session } = client;
  const op = desk.calls.begin({ kind: "get", key, node, terms });
  const request = readRequest(op, key, session?.token ?? null);
  desk.calls.call([op], request, (response, body) => {
    const answer = keyAnswerOf(response, body, true, (token) => desk.readToken(key, token));
    desk.checkDurable(key, answer, `get ${op.id}`);
    return () => {
      readDone(desk, op, key, client, session, answer);
      onAnswer(answer);
    };
  });
  desk.calls.onGivenUp(op, () => onAnswer(null));
}

/** `session` is the one that the call went on from. */
export function readDone(
  desk: Desk,
  op: Op,
  key: KeyState,
  client: Client,
  session: Session | null,
  answer: KeyAnswer,
): void {
  const { ledger } = desk.world;
  const ok = answer.status < 500;
  desk.calls.close(op, ok ? "ok" : "fail", answer.status, answer.live);
  judgeStatus(desk.report, "get", answer.status, `get ${op.id} (${op.terms})`);
  if (!ok) {
    desk.world.count(`read refused ${answer.code}`);
    return;
  }
  if (answer.status === 300) desk.world.count("answer with siblings");
  if (answer.status === 404 && answer.token !== null) desk.world.count("tombstone won");
  judgeAcks(desk.report, op, answer);
  judgeRead(ledger, desk.report, op, key, answer);
  if (session !== null) {
    desk.world.count("read of a session");
    judgeSession(ledger, desk.report, op, key, session.seen.get(key.name) ?? [], answer);
    desk.goOn(client, session, op, key, answer, answer.values);
  }
  const seen = answer.context === null ? new Set<number>() : ledger.seenBy(key, answer.context);
  if (client !== NOBODY) desk.remember(client, key, answer, seen, answer.values);
}

export function list(desk: Desk, node: number): void {
  const { world, random, calls } = desk;
  const key = desk.pickKey();
  const op = calls.begin({
    kind: "list",
    key,
    node,
    terms: { query: "", needed: 0, strict: false },
  });
  const reverse = random.chance(0.3);
  const url = urlOf(
    node,
    `/v1/keys/${key.space}`,
    `limit=${random.integer(1, 8)}${reverse ? "&reverse=true" : ""}`,
  );
  calls.call([op], new Request(url), (response, body) => () => {
    calls.close(op, response.status === 200 ? "ok" : "fail", response.status, body.length);
    judgeStatus(desk.report, "list", response.status, `list ${op.id}`);
    if (response.status === 200) judgeList(world, op, reverse, body);
  });
}
