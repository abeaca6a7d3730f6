import type { HttpAnswer, HttpRequest, Requester } from "./request.ts";

const HEADER = "gyre-session";
/** What asks the server to begin a session. */
const BEGIN = "new";

/**
 * Sends each request with the token of the answer before. One after the other: of two answers that came side by side each
 * would know only its own request, and nobody but the server can put their tokens together.
 */
export class SessionRequester implements Requester {
  /** What sends without a session. */
  readonly plain: Requester;
  #token: string | null;
  #last: Promise<unknown> = Promise.resolve();

  constructor(plain: Requester, token: string | null) {
    this.plain = plain;
    this.#token = token;
  }

  /** Null until the first answer. */
  get token(): string | null {
    return this.#token;
  }

  send(request: HttpRequest): Promise<HttpAnswer> {
    const answered = this.#last.then(() => this.#sendNow(request));
    // The next one is sent whether this one succeeds or not; whoever called hears of its failure.
    this.#last = answered.catch(() => undefined);
    return answered;
  }

  async #sendNow(request: HttpRequest): Promise<HttpAnswer> {
    const headers = { ...request.headers, [HEADER]: this.#token ?? BEGIN };
    const answer = await this.plain.send({ ...request, headers });
    // A list changes nothing of what the session has seen and brings none.
    this.#token = answer.headers.get(HEADER) ?? this.#token;
    return answer;
  }
}
