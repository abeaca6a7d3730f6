/** Puts and deletes: blind, with a context, under a condition, and repeated under their Idempotency-Key. */
import {
  judgeAcks,
  judgeCreation,
  judgeMatch,
  judgeStatus,
  judgeWriteContext,
} from "../checkers/answers.ts";
import { type KeyAnswer, keyAnswerOf, writeRequest } from "../client-call.ts";
import type { Condition, Op } from "../history.ts";
import type { KeyState } from "../key-state.ts";
import { majority, type Terms, writeTerms } from "../terms.ts";
import type { Client, Known, Session } from "./client.ts";
import type { Desk } from "./desk.ts";

/** So often a client sends a write again that may or may not have taken effect. */
const REPEATS_MAX = 3;

export interface WriteCall {
  readonly kind: "put" | "delete";
  readonly key: KeyState;
  readonly node: number;
  readonly client: Client;
  /** What it has seen; null for a blind write. */
  readonly known: Known | null;
  readonly condition?: { readonly name: string; readonly value: string } | null;
  /** The writes that an If-Match is about. */
  readonly matched?: readonly number[];
  /** Has an Idempotency-Key, and is sent again until the outcome is known. */
  readonly repeats?: boolean;
  /** Drawn, unless given. */
  readonly terms?: Terms;
  /** Sees the last answer; null when there is none. */
  readonly onAnswer?: (answer: KeyAnswer | null) => void;
}

export function write(desk: Desk, call: WriteCall): void {
  const { kind, key, node, known, condition = null, repeats = false } = call;
  const { world, random } = desk;
  const { workload } = world.options;
  const op = desk.calls.begin({
    kind,
    key,
    node,
    terms: call.terms ?? writeTerms(random, key.homes.length, key.isStrict),
    seen: known?.seen ?? null,
    condition: conditionOf(condition),
  });
  const options = {
    bytes: random.chance(workload.largeValues) ? 2_500 : 0,
    token: known?.token ?? null,
    ttlSeconds:
      kind === "put" && random.chance(workload.expiring) ? random.integer(1, 3_000) / 1_000 : 0,
    condition,
    isRepeatable: repeats,
  };
  op.ttlMs = options.ttlSeconds * 1_000;
  op.matched = call.matched ?? [];
  const send = (at: number): void => {
    const { session } = call.client;
    const request = writeRequest(op, key, at, { ...options, session: session?.token ?? null });
    desk.calls.call(
      [op],
      request,
      (response, body) => {
        const answer = keyAnswerOf(response, body, false, (token) => desk.readToken(key, token));
        desk.checkDurable(key, answer, `the answer to op ${op.id}`);
        return () => {
          const isOpen = isUnknown(answer) && repeats && again();
          if (isOpen) return;
          writeDone(desk, op, key, call.client, session, answer);
          call.onAnswer?.(answer);
        };
      },
      { at, onSilence: () => repeats && again() },
    );
  };
  /** At whatever node; false when it gives up. */
  const again = (): boolean => {
    const other = desk.pickNode();
    if (desk.stopped || other === null || op.repeats >= REPEATS_MAX) return false;
    op.repeats++;
    world.count("write repeated");
    world.clock.after(random.between(0, 100), () => {
      if (world.node(other).alive) send(other);
      else desk.calls.giveUp([op]);
    });
    return true;
  };
  desk.calls.onGivenUp(op, () => call.onAnswer?.(null));
  send(node);
}

export function writeConditionally(desk: Desk, key: KeyState, node: number, client: Client): void {
  const etag = client.known.get(key.name)?.etag ?? null;
  const condition =
    etag === null || desk.random.chance(0.3)
      ? { name: "if-none-match", value: "*" }
      : { name: "if-match", value: etag };
  const kind = desk.random.chance(0.2) ? "delete" : "put";
  const matched = client.known.get(key.name)?.tagged ?? [];
  write(desk, { kind, key, node, client, known: null, condition, matched });
}

function isUnknown({ status, indeterminate }: KeyAnswer): boolean {
  return status === 503 && indeterminate;
}

export function writeDone(
  desk: Desk,
  op: Op,
  key: KeyState,
  client: Client,
  session: Session | null,
  answer: KeyAnswer,
): void {
  judgeStatus(desk.report, op.kind, answer.status, `op ${op.id} (${op.terms})`);
  const { status } = answer;
  if (status === 204) acknowledged(desk, op, key, client, session, answer);
  else if (isUnknown(answer) && answer.code === "quorum_not_reached") {
    desk.world.count("write indeterminate");
    desk.calls.close(op, "info", status, 0);
  } else {
    desk.world.count(`write refused ${answer.code}`);
    // Only the last of several attempts was refused: the others may have taken effect.
    desk.calls.close(op, op.repeats > 0 ? "info" : "fail", status, 0);
    if (op.repeats === 0 && key.mintsOf.has(op.id)) {
      desk.report(
        "honest-answers",
        `op ${op.id} was answered ${status} ${answer.code}, but it was stored`,
      );
    }
  }
}

function acknowledged(
  desk: Desk,
  op: Op,
  key: KeyState,
  client: Client,
  session: Session | null,
  answer: KeyAnswer,
): void {
  op.acks = answer.acks;
  op.fallbacks = answer.fallbacks;
  desk.calls.close(op, "ok", 204, answer.acks);
  if (!key.mintsOf.has(op.id)) {
    desk.report("lost-writes", `op ${op.id} of ${key.name} was acknowledged, but nobody stored it`);
  }
  judgeAcks(desk.report, op, answer);
  desk.world.custodian.acknowledged(op, key, answer);
  if (op.condition === "create") judgeCreation(desk.world, op, key);
  if (op.condition === "match") judgeMatch(desk.world, op, key);
  key.acked.push(op);
  if (answer.acks >= majority(key.homes.length)) key.strong.push(op);
  if (answer.fallbacks > 0) desk.world.count("write acknowledged by stand-ins");
  if (answer.acks === 0) desk.world.count("write acknowledged by stand-ins alone");
  if (!key.homes.includes(op.node)) desk.world.count("forwarded");
  desk.goOn(client, session, op, key, answer, [op.id]);
  if (answer.context === null) return;
  judgeWriteContext(desk.report, op, key, answer.context);
  // Of a write that was executed twice the token speaks of one: what the other replaced, its holder has not seen.
  const seen = desk.world.ledger.seenBy(key, answer.context);
  desk.remember(client, key, answer, seen, [op.id]);
}

function conditionOf(header: { readonly name: string } | null): Condition {
  if (header === null) return "none";
  return header.name === "if-match" ? "match" : "create";
}
