/** Where a key lives and why: every owner is asked for what it holds. */

import { PeerError } from "../cluster/peer-channel.ts";
import { actorIdToHex } from "../core/ids.ts";
import type { Key } from "../core/key.ts";
import { partitionOf } from "../core/key.ts";
import type { NamespaceEntry } from "../core/layout.ts";
import type { CausalRecord, Dot } from "../core/version.ts";
import type { Replication } from "./context.ts";
import { decodeReadAnswer, encodeRead, type ReadAnswer } from "./data-messages.ts";
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
  const first = homes[0];
  return {
    partition,
    owners: await Promise.all(homes.map(ask)),
    fallbacks: first === undefined ? [] : layout.fallbacks(namespace.policy, partition, first),
    hints: [],
  };
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
