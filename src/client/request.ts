/** One request: tried at one server after another where that is safe, within its time and the retry budget. */
import { createEndpoints, type Endpoints } from "./endpoints.ts";
import { GyreConnectionError, GyreError } from "./errors.ts";
import { createRetryBudget, type RetryBudget } from "./retry-budget.ts";

/** What of the world the client uses; tests bring their own. */
export interface ClientWorld {
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>;
  /** Monotonic milliseconds. */
  readonly nowMs: () => number;
  readonly sleep: (delayMs: number) => Promise<void>;
  /** 0 <= x < 1 */
  readonly chance: () => number;
}

export interface HttpRequest {
  readonly method: "GET" | "PUT" | "DELETE" | "POST";
  /** Path and query, beginning with a slash. */
  readonly target: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array<ArrayBuffer> | string;
  /** True when doing it twice is like doing it once: reads, and writes with an Idempotency-Key. */
  readonly repeatable: boolean;
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Statuses that are answers, not errors. */
  readonly accept: readonly number[];
}

/** An answer read to its end. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Uint8Array<ArrayBuffer>;
  readonly endpoint: string;
}

export interface Requester {
  /** @throws GyreError or GyreConnectionError; an abort by `signal` rejects with its reason. */
  send(request: HttpRequest): Promise<HttpAnswer>;
}

export interface RequesterOptions {
  readonly endpoints: readonly string[];
  readonly timeoutMs: number;
  /** Tries beyond the first. */
  readonly retries: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly world: ClientWorld;
}

/** Full jitter (Brooker, "Exponential Backoff And Jitter", 2015): base and cap of the pause before a retry. */
const BACKOFF_BASE_MS = 50;
const BACKOFF_CAP_MS = 2_000;

/** The server says that it did not do it and that another one, or a later time, may. */
const REFUSED_STATUSES: ReadonlySet<number> = new Set([429, 502, 503, 504]);

export function createRequester(options: RequesterOptions): Requester {
  const { world } = options;
  const endpoints = createEndpoints(options.endpoints, world.nowMs);
  const budget = createRetryBudget();
  return {
    send: (request) => sendWithRetries(request, { ...options, endpoints, budget }),
  };
}

interface Sending extends Omit<RequesterOptions, "endpoints"> {
  readonly endpoints: Endpoints;
  readonly budget: RetryBudget;
}

async function sendWithRetries(request: HttpRequest, sending: Sending): Promise<HttpAnswer> {
  const { world, budget, endpoints } = sending;
  const deadlineMs = world.nowMs() + (request.timeoutMs ?? sending.timeoutMs);
  budget.deposit();
  const tried = new Set<string>();
  for (let attempt = 0; ; attempt++) {
    const order = endpoints.order();
    // A server not tried yet comes first: it needs no pause.
    const fresh = order.find((each) => !tried.has(each));
    const endpoint = fresh ?? order[attempt % order.length] ?? "";
    tried.add(endpoint);
    try {
      const answer = await attemptOnce(request, sending, endpoint, deadlineMs);
      endpoints.succeeded(endpoint);
      return answer;
    } catch (error) {
      if (error instanceof GyreConnectionError) endpoints.failed(endpoint);
      if (attempt >= sending.retries || !maySendAgain(request, error) || !budget.withdraw())
        throw error;
      const hasFresh = order.some((each) => !tried.has(each));
      const pauseMs = hasFresh ? 0 : backoffMs(world, attempt, error);
      if (world.nowMs() + pauseMs >= deadlineMs) throw error;
      if (pauseMs > 0) await world.sleep(pauseMs);
    }
  }
}

async function attemptOnce(
  request: HttpRequest,
  sending: Sending,
  endpoint: string,
  deadlineMs: number,
): Promise<HttpAnswer> {
  const { world, headers } = sending;
  const timeout = AbortSignal.timeout(Math.max(1, Math.ceil(deadlineMs - world.nowMs())));
  const signal =
    request.signal === undefined ? timeout : AbortSignal.any([timeout, request.signal]);
  let answer: HttpAnswer;
  try {
    const response = await world.fetch(endpoint + request.target, {
      method: request.method,
      headers: { ...headers, ...request.headers },
      redirect: "manual",
      signal,
      ...(request.body === undefined ? {} : { body: request.body }),
    });
    const body = new Uint8Array(await response.arrayBuffer());
    answer = { status: response.status, headers: response.headers, body, endpoint };
  } catch (error) {
    request.signal?.throwIfAborted();
    throw new GyreConnectionError(endpoint, { cause: error });
  }
  if (!request.accept.includes(answer.status)) throw errorOf(answer);
  return answer;
}

/** A write goes out again only if that cannot do harm. */
function maySendAgain(request: HttpRequest, error: unknown): boolean {
  if (error instanceof GyreConnectionError) return request.repeatable || !error.maybeSent;
  if (!(error instanceof GyreError) || !REFUSED_STATUSES.has(error.status)) return false;
  if (request.repeatable) return true;
  // A proxy's 502 or 504 does not say whether the write went through; a problem document of the store does.
  return !error.indeterminate && !error.code.startsWith("http_");
}

function backoffMs(world: ClientWorld, attempt: number, error: unknown): number {
  const jittered = world.chance() * Math.min(BACKOFF_CAP_MS, BACKOFF_BASE_MS * 2 ** attempt);
  const asked = error instanceof GyreError ? (error.retryAfterSeconds ?? 0) * 1000 : 0;
  return Math.max(jittered, Math.min(asked, BACKOFF_CAP_MS));
}

/** What an answer that is not the wished one says. */
export function errorOf(answer: HttpAnswer): GyreError {
  let problem: Record<string, unknown> = {};
  try {
    const parsed: unknown = JSON.parse(new TextDecoder().decode(answer.body));
    if (typeof parsed === "object" && parsed !== null) problem = parsed as Record<string, unknown>;
  } catch {
    // Not a problem document: the status has to speak for itself.
  }
  return new GyreError(answer.status, problem, answer.headers);
}
