/** Answers what reapers of other nodes ask. */
import {
  type MessageContext,
  type MessageHandlers,
  PeerError,
  type WireFields,
} from "../cluster/peer-channel.ts";
import { readInt } from "../cluster/wire-read.ts";
import type { ActiveLayout } from "../core/active-layout.ts";
import { DiskFullError } from "../env/disk.ts";
import { unitsOf } from "./horizon-exchange.ts";
import { type Reaping, reapHere } from "./reap-acts.ts";
import { judge } from "./reap-judge.ts";
import {
  decodeHorizons,
  decodeReap,
  encodeDone,
  encodeHorizons,
  encodeReapAnswers,
} from "./reap-messages.ts";

export function reapHandlers(reaping: Reaping): MessageHandlers {
  return {
    reapAsk: (fields) => {
      const layout = layoutOf(reaping, fields);
      const { items } = decodeReap(reaping.r.env.hasher, fields);
      return encodeReapAnswers(items.map((item) => judge(reaping, layout, item)));
    },
    reapDo: (fields, context) => reapDo(reaping, fields, context),
    horizons: (fields) => {
      const layout = layoutOf(reaping, fields);
      const told = decodeHorizons(fields);
      const { horizons } = reaping;
      return refusingWhenFull(() => {
        horizons.raise(unitsOf(layout, told));
        return encodeHorizons(
          layout.version,
          told.map(({ policy, partition }) => ({
            policy,
            partition,
            stamp: horizons.of(policy, partition),
          })),
        );
      });
    },
  };
}

function reapDo(
  reaping: Reaping,
  fields: WireFields,
  context: MessageContext,
): WireFields | Promise<WireFields> {
  const layout = layoutOf(reaping, fields);
  const { items, actors } = decodeReap(reaping.r.env.hasher, fields);
  if (reaping.r.env.clock.monotonicMs() > context.diesMs) {
    throw new PeerError("refused", "expired", "The round is over");
  }
  return refusingWhenFull(() => {
    const { done, sequences } = reapHere(reaping, layout, items, actors);
    const answer = encodeDone(done);
    const { store } = reaping.r;
    if (sequences.every((sequence) => store.isDurable(sequence))) return answer;
    return store.whenAllDurable(sequences).then(() => answer, refuseFull);
  });
}

/** A round counts under one document: who holds another may know other owners. */
function layoutOf({ r }: Reaping, fields: WireFields): ActiveLayout {
  const asked = readInt(fields, 0, "layoutVersion", 1, Number.MAX_SAFE_INTEGER);
  const layout = r.membership.layout();
  if (layout?.version === asked) return layout;
  throw new PeerError("refused", "not_ready", `Not under layout ${asked}: ${layout?.version}`);
}

function refusingWhenFull<T>(act: () => T): T {
  try {
    return act();
  } catch (error) {
    return refuseFull(error);
  }
}

function refuseFull(error: unknown): never {
  if (!(error instanceof DiskFullError)) throw error;
  throw new PeerError("refused", "disk_full", "No room on the disk", { cause: error });
}
