import type { NodeId } from "../core/ids.ts";
import type { Key } from "../core/key.ts";
import type { CausalRecord } from "../core/version.ts";
import type { Replication } from "./context.ts";
import { decodeReadAnswer, encodeRead } from "./data-messages.ts";
import { localRead } from "./local-read.ts";
import type { Route } from "./route.ts";

/** One node's record with all its values; null when it has none now, or does not answer in time. */
export async function fetchWhole(
  r: Replication,
  route: Route,
  key: Key,
  node: NodeId,
  deadlineMs: number,
): Promise<CausalRecord | null> {
  r.counters.valueFetches++;
  if (node === r.self) return (await localRead(r, key)).record;
  const timeoutMs = deadlineMs - r.env.clock.monotonicMs();
  if (timeoutMs <= 0) return null;
  try {
    const fields = encodeRead(route.layout.version, key, Number.MAX_SAFE_INTEGER);
    const answer = await r.channel.send(node, "read", fields, { timeoutMs, lane: "batch" });
    return decodeReadAnswer(r.env.hasher, answer).record;
  } catch {
    // Silence and refusal are alike here: the caller asks the next holder.
    return null;
  }
}
