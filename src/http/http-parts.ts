import type { HttpDeps } from "./deps.ts";
import type { HttpCounters } from "./http-counters.ts";
import type { Representations } from "./representation.ts";
import type { Tokens } from "./tokens.ts";

/** What the groups of routes share; made once in app.ts. */
export interface HttpParts {
  readonly deps: HttpDeps;
  readonly tokens: Tokens;
  readonly representations: Representations;
  readonly counters: HttpCounters;
}
