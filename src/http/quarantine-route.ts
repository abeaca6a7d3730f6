/** `GET /v1/quarantine`: rows of a restored backup that this node neither serves nor drops, page after page. */
import { answerJson } from "./call.ts";
import type { HttpParts } from "./http-parts.ts";
import { badRequest } from "./problem.ts";
import type { Route } from "./route.ts";
import { parseQuery } from "./target.ts";

export function quarantineRoute({ deps }: HttpParts): Route {
  return {
    method: "GET",
    path: "/v1/quarantine",
    handler: (call) => {
      const cursor = parseQuery(call.query, ["cursor"]).get("cursor") ?? null;
      const page = deps.quarantine(cursor);
      if (page === undefined) throw badRequest("cursor: want one that a page ended with");
      return answerJson(call, 200, page);
    },
  };
}
