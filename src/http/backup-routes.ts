/** `POST /v1/backups`: a consistent copy of this node's database, on this node's disk. */
import type { Env } from "../env/env.ts";
import { answerJson, type Call } from "./call.ts";
import type { HttpParts } from "./http-parts.ts";
import { HttpProblem } from "./problem.ts";
import type { Route } from "./route.ts";
import { parseQuery } from "./target.ts";

const RETRY_AFTER_S = "10";

export class BackupRoutes {
  readonly #parts: HttpParts;
  #running = false;

  constructor(parts: HttpParts) {
    this.#parts = parts;
  }

  routes(): readonly Route[] {
    return [{ method: "POST", path: "/v1/backups", handler: (call) => this.#make(call) }];
  }

  /** The place is the node's own choice: whoever may call this must not choose files to be written. */
  async #make(call: Call): Promise<Response> {
    parseQuery(call.query, []);
    const { backup, env } = this.#parts.deps;
    if (backup === null) throw new HttpProblem("not_found", "This node keeps no files");
    if (this.#running) {
      throw new HttpProblem("overloaded", "A backup is being made", {
        headers: { "retry-after": RETRY_AFTER_S },
      });
    }
    this.#running = true;
    try {
      const { path, manifest } = await backup().catch((error: unknown) => failed(env, error));
      env.logger.info("backup-made", { path });
      return answerJson(call, 201, { path, ...manifest });
    } finally {
      this.#running = false;
    }
  }
}

/** What the disk said is the operator's business, who is the one who asks. */
function failed(env: Env, error: unknown): never {
  const reason = error instanceof Error ? error.message : String(error);
  env.logger.error("backup-failed", { reason });
  throw new HttpProblem("unavailable", reason);
}
