import type { Hasher } from "../core/hasher.ts";
import type { Clock } from "./clock.ts";
import type { Crypto } from "./crypto.ts";
import type { Logger } from "./logger.ts";
import type { Random } from "./random.ts";
import type { Transport } from "./transport.ts";

/** The world as a parameter: all that a node may know of what is outside. */
export interface Env {
  readonly clock: Clock;
  readonly random: Random;
  readonly crypto: Crypto;
  readonly hasher: Hasher;
  readonly logger: Logger;
  readonly transport: Transport;
  /**
   * Ends the process at once without answering anyone: durability is unknown or an invariant is broken. Never returns
   * in production; the simulator crashes the node and throws.
   */
  readonly failStop: (reason: string, cause?: unknown) => never;
}
