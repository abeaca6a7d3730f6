/** One message on its way, and how an answer or a failure reaches whoever sent it. */
import type { PeerResponse } from "../env/transport.ts";
import { PeerError, type WireFields, type WireValue } from "./peer-channel.ts";
import { decodeAnswer } from "./peer-codec.ts";

export interface PendingMessage {
  readonly kind: number;
  readonly fields: WireFields;
  /** Estimated, for limits. */
  readonly bytes: number;
  /** Monotonic times. */
  readonly queuedMs: number;
  readonly deadlineMs: number;
  readonly resolve: (fields: WireFields) => void;
  readonly reject: (error: PeerError) => void;
  settled: boolean;
}

export function fail(message: PendingMessage, error: PeerError): void {
  if (message.settled) return;
  message.settled = true;
  message.reject(error);
}

/** Certainly not executed: the deadline passed before the message was sent. */
export function expired(): PeerError {
  return new PeerError("unreachable", "expired", "Not sent: its time was over while it waited");
}

/** No peer would take it. */
export function tooLarge(bytes: number): PeerError {
  return new PeerError("refused", "too_large", `Not sent, a message of about ${bytes} bytes`);
}

/** What is no PeerError is a bug below; the message may have been executed. */
export function asPeerError(error: unknown): PeerError {
  if (error instanceof PeerError) return error;
  return new PeerError("timeout", "internal", `Cannot send: ${String(error)}`, { cause: error });
}

/**
 * Gives each message its part of an authenticated answer. An answer of another status than 200 holds one refusal, for
 * all of them.
 */
export function settleWith(messages: readonly PendingMessage[], answer: PeerResponse): void {
  let flat: WireFields;
  try {
    flat = decodeAnswer(answer.body, answer.status === 200 ? messages.length : 1);
  } catch (cause) {
    const error = new PeerError("timeout", "bad_answer", String(cause), { cause });
    for (const message of messages) fail(message, error);
    return;
  }
  for (let index = 0; index < messages.length; index++) {
    const message = messages[index] as PendingMessage;
    const at = answer.status === 200 ? 2 * index : 0;
    const fields = flat[at + 1] as WireFields;
    if (flat[at] !== 0) fail(message, refusal(fields));
    else if (!message.settled) {
      message.settled = true;
      message.resolve(fields);
    }
  }
}

/** After a bug or a handler that did not end nobody knows what was done: no refusal, which would say "not executed". */
const UNCERTAIN_CODES: readonly string[] = ["internal", "timeout"];

function refusal(fields: WireFields): PeerError {
  const [code, message, detail] = fields as readonly [string, string, WireValue?];
  const outcome = UNCERTAIN_CODES.includes(code) ? "timeout" : "refused";
  return new PeerError(outcome, code, message, { detail: detail ?? null });
}
