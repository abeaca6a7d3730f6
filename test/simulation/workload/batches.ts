/** Batches: as many operations in one request, each with its own answer. */
import { judgeStatus } from "../checkers/answers.ts";
import { batchAnswersOf, batchRequest, type KeyAnswer } from "../client-call.ts";
import type { OpKind } from "../history.ts";
import type { KeyState } from "../key-state.ts";
import { defaultTerms } from "../terms.ts";
import type { Client } from "./client.ts";
import type { Desk } from "./desk.ts";
import { readDone } from "./reads.ts";
import { writeDone } from "./writes.ts";

export function batch(desk: Desk, node: number, client: Client): void {
  const { world, random, calls } = desk;
  const { space } = desk.pickKey();
  const keys = [...world.ledger.keys.values()].filter(
    (key) => key.space === space && random.chance(0.6),
  );
  if (keys.length === 0) return;
  const knowns = keys.map((key) =>
    random.chance(0.6) ? (client.known.get(key.name) ?? null) : null,
  );
  const ops = keys.map((key, index) => {
    const kind = random.pick<OpKind>(["get", "get", "put", "put", "delete"]);
    const seen = kind === "get" ? null : (knowns[index]?.seen ?? null);
    const terms = defaultTerms(key.homes.length, key.isStrict);
    return calls.begin({ kind, key, node, terms, seen });
  });
  world.count("batch");
  const tokens = knowns.map((known) => known?.token ?? null);
  calls.call(ops, batchRequest(node, space, ops, tokens), (response, body) => {
    judgeStatus(desk.report, "list", response.status, "a batch");
    if (response.status !== 200) return () => calls.giveUp(ops);
    const keyOf = (index: number): KeyState => keys[index] as KeyState;
    const answers = batchAnswersOf(body, (index, token) => desk.readToken(keyOf(index), token));
    answers.forEach((answer, index) => {
      desk.checkDurable(keyOf(index), answer, "a batch");
    });
    return () => {
      ops.forEach((op, index) => {
        const answer = answers[index] as KeyAnswer;
        if (op.kind === "get") readDone(desk, op, keyOf(index), client, null, answer);
        else writeDone(desk, op, keyOf(index), client, null, answer);
      });
    };
  });
}
