/** Bugs to plant in what clients are told, and in when they are given it. */
import type { Mutation } from "./mutation.ts";

export const ANSWER_MUTATIONS: readonly Mutation[] = [
  {
    name: "no put finds a stand-in",
    file: "src/replication/fan-out.ts",
    find: "if (timeoutMs <= 0 || !this.#goesOn()) return;",
    replace: "if (timeoutMs <= Number.POSITIVE_INFINITY) return;",
  },
  {
    name: "no read finds a stand-in",
    file: "src/replication/read-round.ts",
    find: "#askStandInOf(home: NodeId, nowMs: number): boolean {\n",
    replace:
      "#askStandInOf(home: NodeId, nowMs: number): boolean {\n    if (nowMs >= 0) return false;\n",
  },
  {
    name: "a 300 shows two siblings of however many",
    file: "src/core/conflict.ts",
    find: "return { chosen: shown, live, deletedOrExpired };",
    replace: "return { chosen: shown.slice(-2), live, deletedOrExpired };",
  },
  {
    name: "hints are kept as if every write's W were one",
    file: "src/replication/fan-out.ts",
    find: "const fields = encodeHint(this.#fields, home, this.#plan.requirement.needed);",
    replace: "const fields = encodeHint(this.#fields, home, 1);",
  },
  {
    name: "the answer to a put does not go on with its session",
    file: "src/http/kv-routes.ts",
    find: "return giveSession(response, this.#tokens, after);",
    replace: "return after === null ? response : response;",
  },
  {
    name: "If-Match holds over several siblings",
    file: "src/replication/precondition.ts",
    find: "if (found.liveSiblings > 1 && request.context === null) return false;",
    replace: "",
  },
];
