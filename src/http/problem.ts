/**
 * Every refusal and failure of the client API as RFC 9457 problem details. The codes are public: clients branch on them,
 * so one may be added but none renamed (api.md, "Errors").
 */
import type { AckCounts } from "../core/quorum.ts";
import type { Failure } from "../replication/requests.ts";

export type ProblemCode =
  | "bad_request"
  | "invalid_session"
  | "forbidden"
  | "not_found"
  | "namespace_not_found"
  | "method_not_allowed"
  | "request_timeout"
  | "too_many_siblings"
  | "policy_fixed"
  | "namespace_fixed"
  | "precondition_failed"
  | "payload_too_large"
  | "uri_too_long"
  | "unsupported_media_type"
  | "invalid_context"
  | "invalid_cursor"
  | "idempotency_mismatch"
  | "internal"
  | "quorum_not_reached"
  | "session_not_reached"
  | "not_formed"
  | "not_ready"
  | "unavailable"
  | "overloaded"
  | "disk_full";

interface CodeEntry {
  readonly status: number;
  readonly title: string;
}

/** What each code means, in one place: the responses, /docs and /openapi.json are made from it. */
export const PROBLEM_CODES: Readonly<Record<ProblemCode, CodeEntry>> = {
  bad_request: { status: 400, title: "The request is malformed" },
  invalid_session: { status: 400, title: "The session was not issued by this cluster" },
  forbidden: { status: 403, title: "The request comes from a place that is not allowed" },
  not_found: { status: 404, title: "There is nothing here" },
  namespace_not_found: { status: 404, title: "There is no such namespace" },
  method_not_allowed: { status: 405, title: "The method does not apply here" },
  request_timeout: { status: 408, title: "The body did not arrive in time" },
  too_many_siblings: { status: 409, title: "The key has too many siblings" },
  policy_fixed: { status: 409, title: "The placement policy of a namespace cannot change" },
  namespace_fixed: { status: 409, title: "The namespace `default` cannot be deleted" },
  precondition_failed: { status: 412, title: "The precondition does not hold" },
  payload_too_large: { status: 413, title: "The body or the answer is too large" },
  uri_too_long: { status: 414, title: "The request target is too long" },
  unsupported_media_type: {
    status: 415,
    title: "The body has an encoding or a type not taken here",
  },
  invalid_context: { status: 422, title: "The causal context was not issued for this key" },
  invalid_cursor: { status: 422, title: "The cursor was not issued for this list" },
  idempotency_mismatch: { status: 422, title: "The Idempotency-Key was used with another body" },
  internal: { status: 500, title: "The node met a bug" },
  quorum_not_reached: { status: 503, title: "Too few replicas answered" },
  session_not_reached: {
    status: 503,
    title: "No replica that answered has all that the session has seen",
  },
  not_formed: { status: 503, title: "The cluster does not take data yet" },
  not_ready: { status: 503, title: "The node is not ready" },
  unavailable: { status: 503, title: "The cluster could not decide this in time" },
  overloaded: { status: 503, title: "The node has more work than it can finish" },
  disk_full: { status: 507, title: "The disk is full and nothing was stored" },
};

export interface ProblemOptions {
  /** Members beside the standard ones, such as `acks`. */
  readonly extra?: Readonly<Record<string, unknown>>;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Thrown by whatever parses a request; caught once, where the response is made. */
export class HttpProblem extends Error {
  override readonly name = "HttpProblem";
  readonly code: ProblemCode;
  readonly extra: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, string>>;

  constructor(code: ProblemCode, detail: string, options: ProblemOptions = {}) {
    super(detail);
    this.code = code;
    this.extra = options.extra ?? {};
    this.headers = options.headers ?? {};
  }

  get status(): number {
    return PROBLEM_CODES[this.code].status;
  }
}

/** Shown by clients that wait before they try again; about two gossip rounds. */
const RETRY_AFTER = { "retry-after": "1" } as const;

export function badRequest(detail: string): HttpProblem {
  return new HttpProblem("bad_request", detail);
}

/** The one place where an outcome of the floors below becomes a status. */
export function problemOfFailure(failure: Failure, namespace: string): HttpProblem {
  switch (failure.status) {
    case "quorum-not-reached":
      return quorumNotReached(failure.acks, failure.needed, failure.indeterminate);
    case "session-not-reached":
      return new HttpProblem(
        "session_not_reached",
        "The session has read or written something newer than the replicas that answered hold: nothing was done; try again, or ask without Gyre-Session for what they hold",
        { headers: RETRY_AFTER, extra: { acks: failure.acks } },
      );
    case "not-formed":
      return notFormed();
    case "overloaded":
      return new HttpProblem(
        "overloaded",
        "Nothing was done; try again after the time in Retry-After",
        {
          headers: RETRY_AFTER,
        },
      );
    case "disk-full":
      return new HttpProblem(
        "disk_full",
        "The coordinator's disk is full: certainly nothing was stored. Reads go on; free space or write to another node",
      );
    case "namespace-not-found":
      return namespaceNotFound(namespace);
    case "too-many-siblings":
      return new HttpProblem(
        "too_many_siblings",
        `The key holds ${failure.siblings} siblings: get it with conflict=siblings, merge them, and put the result with the Gyre-Context of that answer`,
        { extra: { siblings: failure.siblings } },
      );
    case "precondition-failed":
      return new HttpProblem(
        "precondition_failed",
        "The key is not in the state that If-Match or If-None-Match asks for: get it again and decide anew",
        { ...(failure.etag === null ? {} : { headers: { etag: failure.etag } }) },
      );
    case "idempotency-mismatch":
      return new HttpProblem(
        "idempotency_mismatch",
        "An earlier write with this Idempotency-Key had another body: use a new key for a new write",
      );
    case "count-above-policy":
      return badRequest(
        `Cannot ask for ${failure.asked} replicas: the namespace keeps ${failure.copies} copies of each key`,
      );
    case "count-above-owners":
      return new HttpProblem(
        "quorum_not_reached",
        `Cannot ask for ${failure.asked} replicas now: only ${failure.owners} nodes own the key at present`,
        { extra: { indeterminate: false, needed: failure.asked, owners: failure.owners } },
      );
  }
}

function quorumNotReached(acks: AckCounts, needed: number, indeterminate: boolean): HttpProblem {
  const reached = acks.primary + acks.fallback;
  const detail = indeterminate
    ? `${reached} of the ${needed} replicas asked for have the write: it may take effect or not, so read before you decide, or repeat it with the same Idempotency-Key`
    : `${reached} of the ${needed} replicas asked for answered`;
  return new HttpProblem("quorum_not_reached", detail, { extra: { indeterminate, needed, acks } });
}

export function notFormed(): HttpProblem {
  return new HttpProblem(
    "not_formed",
    "The cluster is still forming (fewer members than --bootstrap-expect, or this node has not joined): nothing was stored, try again shortly",
    { headers: RETRY_AFTER },
  );
}

export function namespaceNotFound(namespace: string): HttpProblem {
  return new HttpProblem(
    "namespace_not_found",
    `There is no namespace "${namespace}": create it with PUT /v1/namespaces/${namespace}`,
  );
}
