import type { MessageKind, WireFields } from "../cluster/peer-channel.ts";
import type { Trees } from "../storage/trees.ts";
import type { AntiEntropyFigures } from "./anti-entropy-figures.ts";
import type { Busy } from "./busy.ts";
import type { Replication } from "./context.ts";
import type { Pace } from "./pace.ts";

/** What all rounds of one node share. */
export interface RoundParts {
  readonly r: Replication;
  readonly trees: Trees;
  readonly keyId: string;
  readonly figures: AntiEntropyFigures;
  readonly bytesPace: Pace;
  readonly rowsPace: Pace;
  readonly busy: Busy;
  readonly isStopping: () => boolean;
}

/** The round cannot go on: the layout has changed, or the node stops. Nothing is wrong. */
export class RoundAborted extends Error {
  override readonly name = "RoundAborted";
  /** Because of another exchange of rows. */
  readonly isBusy: boolean;
  constructor(message: string, isBusy = false) {
    super(message);
    this.isBusy = isBusy;
  }
}

/** Sends one message of a round to its peer when the pace allows. @throws PeerError, RoundAborted */
export type Ask = (kind: MessageKind, fields: WireFields) => Promise<WireFields>;
