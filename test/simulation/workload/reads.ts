/** Gets and lists. */
import { judgeAcks, judgeRead, judgeStatus } from "../checkers/answers.ts";
import { judgeExpiry } from "../checkers/expiry.ts";
import { judgeList, type Page, pageOf } from "../checkers/lists.ts";
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
  judgeExpiry(desk.world, op, key, answer);
  if (session !== null) {
    desk.world.count("read of a session");
    judgeSession(ledger, desk.report, op, key, session.seen.get(key.name) ?? [], answer);
    desk.goOn(client, session, op, key, answer, answer.values);
  }
  const seen = answer.context === null ? new Set<number>() : ledger.seenBy(key, answer.context);
  if (client !== NOBODY) desk.remember(client, key, answer, seen, answer.values);
}

/** From one page of a list to the next one, at most. */
const PAGE_GAP_MS = 50;
const LIST_PAGES_MAX = 8;
const ABOVE_ALL_KEYS = "~";

interface Listing {
  readonly key: KeyState;
  readonly reverse: boolean;
  readonly limit: number;
}

/** The page before: how to go on from it, and the last key that it looked at. */
interface Turned {
  readonly cursor: string;
  readonly lastKey: string;
  readonly pages: number;
}

export function list(desk: Desk, node: number): void {
  const { random } = desk;
  const key = desk.pickKey();
  const reverse = random.chance(0.3);
  page(desk, { key, reverse, limit: random.integer(1, 8) }, node, null);
}

function page(desk: Desk, listing: Listing, node: number, before: Turned | null): void {
  const { world, calls } = desk;
  const { key, reverse, limit } = listing;
  const terms = { query: "", needed: 0, strict: false };
  const op = calls.begin({ kind: "list", key, node, terms });
  const cursor = before === null ? "" : `&cursor=${encodeURIComponent(before.cursor)}`;
  const query = `limit=${limit}${reverse ? "&reverse=true" : ""}${cursor}`;
  const request = new Request(urlOf(node, `/v1/keys/${key.space}`, query));
  calls.call([op], request, (response, body) => () => {
    calls.close(op, response.status === 200 ? "ok" : "fail", response.status, body.length);
    judgeStatus(desk.report, "list", response.status, `list ${op.id}`);
    if (response.status !== 200) return;
    const shown = pageOf(body);
    const after = before?.lastKey ?? null;
    const upTo = lastLookedAt(desk, listing, after, shown);
    judgeList(world, op, { reverse, after, upTo }, shown);
    if (shown.cursor === undefined || upTo === null || world.options.faults.clockJumpMs > 0) return;
    const pages = (before?.pages ?? 0) + 1;
    world.count("page with a cursor");
    turn(desk, listing, { cursor: shown.cursor, lastKey: upTo, pages });
  });
}

/** As the page says itself; null for all there is. */
function lastLookedAt(
  desk: Desk,
  { key, reverse }: Listing,
  after: string | null,
  { keys, cursor }: Page,
): string | null {
  if (cursor === undefined) return null;
  // A cursor is an hour old at once where clocks jump.
  const isReadable = desk.world.options.faults.clockJumpMs === 0;
  const last = isReadable ? desk.readCursor(key, reverse, cursor) : keys.at(-1)?.name;
  return last || (after ?? (reverse ? ABOVE_ALL_KEYS : ""));
}

/** The next page, at whatever node. */
function turn(desk: Desk, listing: Listing, before: Turned): void {
  const { world, pages } = desk;
  if (before.pages >= LIST_PAGES_MAX) return;
  world.clock.after(pages.between(0, PAGE_GAP_MS), () => {
    const node = desk.pickNode(pages);
    if (!desk.stopped && node !== null) page(desk, listing, node, before);
  });
}
