/** Where a key lives and why: every owner is asked for what it holds, and who may stand in for writes that wait. */

import { PeerError } from "../cluster/peer-channel.ts";
import type { ActiveLayout } from "../core/active-layout.ts";
import { actorIdToHex, type NodeId, type PartitionId } from "../core/ids.ts";
import type { Key } from "../core/key.ts";
import { partitionOf } from "../core/key.ts";
import type { NamespaceEntry } from "../core/layout.ts";
import { STAND_IN_READS_MAX } from "../core/limits.ts";
import type { CausalRecord, Dot } from "../core/version.ts";
import type { Replication } from "./context.ts";
import { decodeReadAnswer, encodeRead, type ReadAnswer } from "./data-messages.ts";
import { decodeHintTargets, encodeHintQuestion } from "./hint-messages.ts";
import { localRead } from "./local-read.ts";
import type { Explanation, OwnerView } from "./requests.ts";

export async function explainKey(
  r: Replication,
  key: Key,
  namespace: NamespaceEntry,
  timeoutMs: number,
): Promise<Explanation> {
  const layout = r.membership.layout();
  if (layout === undefined) return { partition: 0, owners: [], fallbacks: [], hints: [] };
  const partition = partitionOf(key.hash, layout.partitions);
  const homes = layout.homes(namespace.policy, partition);
  const ask = async (node: (typeof homes)[number]): Promise<OwnerView> => {
    const place = {
      id: node as string,
      region: (layout.regionOf(node) ?? "") as string,
      state: r.membership.liveness(node),
    };
    try {
      const answer: ReadAnswer =
        node === r.self
          ? await localRead(r, key)
          : decodeReadAnswer(
              r.env.hasher,
              await r.channel.send(node, "read", encodeRead(layout.version, key, 0), {
                timeoutMs,
                lane: "direct",
              }),
            );
      if (!answer.counts && answer.record === null) {
        return { ...place, siblings: null, error: "unknown: the row cannot be trusted" };
      }
      return { ...place, ...describe(answer.record) };
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      return { ...place, siblings: null, error: `${error.code}: ${error.message}` };
    }
  };
  const unit = { policy: namespace.policy, partition, homes };
  const fallbacks = fallbacksOf(layout, unit);
  const [owners, hints] = await Promise.all([
    Promise.all(homes.map(ask)),
    hintsOf(r, layout, key, [...homes, ...fallbacks.slice(0, STAND_IN_READS_MAX)], timeoutMs),
  ]);
  return { partition, owners, fallbacks, hints };
}

/** Whoever may stand in for one of the homes, in the order in which they are asked. */
function fallbacksOf(
  layout: ActiveLayout,
  unit: {
    readonly policy: string;
    readonly partition: PartitionId;
    readonly homes: readonly NodeId[];
  },
): NodeId[] {
  const all = unit.homes.flatMap((home) => layout.fallbacks(unit.policy, unit.partition, home));
  return [...new Set(all)];
}

/** Writes of the key that wait for a home; what cannot be asked now is not shown. */
async function hintsOf(
  r: Replication,
  layout: ActiveLayout,
  key: Key,
  nodes: readonly NodeId[],
  timeoutMs: number,
): Promise<Explanation["hints"]> {
  const question = encodeHintQuestion(layout.version, key);
  const found = await Promise.all(
    nodes.map(async (at) => {
      if (at === r.self) return r.hints.targets(key).map((target) => ({ at, for: target }));
      if (r.membership.liveness(at) === "down") return [];
      try {
        const answer = await r.channel.send(at, "hints", question, { timeoutMs, lane: "direct" });
        return decodeHintTargets(answer).map((target) => ({ at, for: target }));
      } catch (error) {
        if (!(error instanceof PeerError)) throw error;
        return [];
      }
    }),
  );
  return found.flat();
}

function describe(record: CausalRecord | null): Pick<OwnerView, "siblings" | "context"> {
  if (record === null) return { siblings: [] };
  return {
    siblings: record.siblings.map((sibling) => ({
      dot: dotText(sibling.dot),
      stamp: sibling.stamp,
      bytes: sibling.valueBytes,
      deleted: sibling.deleted,
    })),
    context: record.context.map(dotText).join(" "),
  };
}

/** `actor:epoch:counter`, the actor in hex. */
export function dotText(dot: Dot): string {
  return `${actorIdToHex(dot.actor)}:${dot.epoch}:${dot.counter}`;
}
