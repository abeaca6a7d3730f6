import process from "node:process";
import type { Env } from "../../src/env/env.ts";
import type { Logger } from "../../src/env/logger.ts";
import { systemClock } from "./system-clock.ts";
import { systemCrypto } from "./system-crypto.ts";
import { createSystemHasher } from "./system-hasher.ts";
import { createSystemRandom } from "./system-random.ts";

/** EX_SOFTWARE of sysexits.h. */
const FAIL_STOP_EXIT_CODE = 70;

/** The world of a process, but for the transport, which each runtime brings itself. */
export async function createSystemEnv(logger: Logger): Promise<Omit<Env, "transport">> {
  return {
    clock: systemClock,
    random: createSystemRandom(),
    crypto: systemCrypto,
    hasher: await createSystemHasher(),
    logger,
    failStop: (reason, cause) => failStop(logger, reason, cause),
  };
}

/**
 * Ends this process by the kernel's hand. An orderly exit would run the drivers' exit hooks, which close the database and
 * checkpoint it, and after a failed fsync nothing more may be written.
 */
function failStop(logger: Logger, reason: string, cause: unknown): never {
  logger.error("fail-stop", { reason, cause: describe(cause) });
  try {
    process.kill(process.pid, "SIGKILL");
  } catch {
    // Deno without the permission to send signals: then an ordinary exit has to do.
  }
  process.exit(FAIL_STOP_EXIT_CODE);
}

function describe(cause: unknown): string | undefined {
  if (cause === undefined) return undefined;
  return cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
}
