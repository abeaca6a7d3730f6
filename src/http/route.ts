import type { Call } from "./call.ts";

/** Answers a call; may throw HttpProblem. */
export type Handler = (call: Call) => Response | Promise<Response>;

export interface Route {
  readonly method: "GET" | "PUT" | "POST" | "DELETE";
  /** As in OpenAPI: `{name}` is one segment, but `{key}` at the end is all that follows. */
  readonly path: string;
  readonly handler: Handler;
}
