import type { ActiveLayout } from "./core/active-layout.ts";
import type { NodeId } from "./core/ids.ts";
import type { Logger } from "./env/logger.ts";
import type { Worker } from "./env/worker.ts";
import { isOnlyCopy } from "./replication/held-elsewhere.ts";
import { DataDirectoryError } from "./storage/data-directory-error.ts";

export interface OnlyCopyData {
  readonly nodeId: NodeId;
  /** As DataDirectory.setOnlyCopy. Undefined where there are no files. */
  readonly setOnlyCopy?: (isOnlyCopy: boolean) => void;
}

/** Between two tries, in ms: nobody makes room on a disk sooner, and one costs two small writes. */
const AGAIN_MS = 10_000;

/** Call it before the cluster is started: it is told the layout then. */
export function onlyCopyWorkers(
  { nodeId, setOnlyCopy }: OnlyCopyData,
  logger: Logger,
  cluster: { onLayout(listener: (layout: ActiveLayout) => void): void },
): Worker[] {
  if (setOnlyCopy === undefined) return [];
  const mark = new OnlyCopyMark(nodeId, logger, setOnlyCopy);
  cluster.onLayout((layout) => mark.follow(layout));
  return [mark];
}

/**
 * Keeps `onlyCopy` of the data directory as the layout says. A disk may have room for a layout and none for the identity: the
 * layout is adopted all the same, and the mark is written as soon as it can be.
 */
class OnlyCopyMark implements Worker {
  readonly name = "only-copy-mark";
  readonly #self: NodeId;
  readonly #logger: Logger;
  readonly #write: (isOnlyCopy: boolean) => void;
  /** What could not be written. */
  #owed: boolean | null = null;

  /** `write`: DataDirectory.setOnlyCopy. */
  constructor(self: NodeId, logger: Logger, write: (isOnlyCopy: boolean) => void) {
    this.#self = self;
    this.#logger = logger;
    this.#write = write;
  }

  follow(layout: ActiveLayout): void {
    this.#set(isOnlyCopy(layout, this.#self));
  }

  step(): Promise<number> {
    if (this.#owed !== null) this.#set(this.#owed);
    return Promise.resolve(AGAIN_MS);
  }

  #set(isOnlyCopy: boolean): void {
    const isFirst = this.#owed === null;
    try {
      this.#write(isOnlyCopy);
      this.#owed = null;
    } catch (error) {
      if (!(error instanceof DataDirectoryError)) throw error;
      this.#owed = isOnlyCopy;
      if (!isFirst) return;
      this.#logger.error("only-copy-not-written", {
        isOnlyCopy,
        reason: error.message,
        consequence: isOnlyCopy
          ? "until it is, a start on a damaged database gives it up, although some of its rows are on no other node"
          : "until it is, a start on a damaged database is refused",
      });
    }
  }
}
