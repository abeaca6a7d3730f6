import type { Clock } from "../../src/env/clock.ts";
import type { Transport } from "../../src/env/transport.ts";
import { sleep } from "../../src/env/worker.ts";

/** An artificial wide-area network, for `gyre dev --wan`: the same code meets the delays that regions bring. */
export interface WanOptions {
  /** The region of this node. */
  readonly region: string;
  /** One way, in ms: request and answer are each held back as long. */
  readonly delayMs: number;
  /** Region of each peer's base address. An address that is not in it is near. */
  readonly regions: ReadonlyMap<string, string>;
}

/** Delays calls to peers of other regions. The deadline runs meanwhile, as it would on a real line. */
export function withWanDelay(transport: Transport, clock: Clock, options: WanOptions): Transport {
  return {
    call: async (request) => {
      const region = options.regions.get(request.url);
      if (region === undefined || region === options.region) return await transport.call(request);
      await sleep(clock, options.delayMs);
      const answer = await transport.call({
        ...request,
        timeoutMs: Math.max(1, request.timeoutMs - 2 * options.delayMs),
      });
      await sleep(clock, options.delayMs);
      return answer;
    },
  };
}
