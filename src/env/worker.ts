import type { Clock, Timer } from "./clock.ts";
import type { Logger } from "./logger.ts";

/** Background work in bounded steps. `step` returns the delay in ms until the next one. */
export interface Worker {
  readonly name: string;
  step(): Promise<number>;
  /** Given once, when it is started: `wake` brings the next step at once. For work that comes before it was expected. */
  wakeBy?(wake: () => void): void;
}

export interface RunningWorker {
  /** No step begins after this; resolves when the running one has ended. */
  stop(): Promise<void>;
}

const PAUSE_AFTER_ERROR_MS = 1_000;
/** A step that fails in the same words again is not logged before: on a broken page the scrub of an only copy fails for good. */
const SAME_ERROR_AGAIN_MS = 24 * 3_600_000;

/** Runs the steps one after another. A step that throws is logged, once a day if nothing changes, and tried again after a pause. */
export function startWorker(
  clock: Clock,
  logger: Logger,
  worker: Worker,
  firstDelayMs: number,
): RunningWorker {
  let stopped = false;
  /** The next step was called for since the last one began. */
  let isWoken = false;
  let timer: Timer | null = null;
  let running: Promise<void> = Promise.resolve();
  let said = "";
  let saidAtMs = 0;

  const complain = (text: string): void => {
    const nowMs = clock.monotonicMs();
    if (text === said && nowMs - saidAtMs < SAME_ERROR_AGAIN_MS) return;
    said = text;
    saidAtMs = nowMs;
    logger.error("worker-step-failed", { worker: worker.name, error: text });
  };
  const turn = async (): Promise<void> => {
    isWoken = false;
    let delayMs = PAUSE_AFTER_ERROR_MS;
    try {
      delayMs = await worker.step();
      if (isWoken) delayMs = 0;
    } catch (error) {
      complain(String(error));
    }
    if (!stopped) schedule(delayMs);
  };
  const schedule = (delayMs: number): void => {
    timer = clock.after(delayMs, () => {
      timer = null;
      running = turn();
    });
  };
  worker.wakeBy?.(() => {
    if (isWoken || stopped) return;
    isWoken = true;
    // Without one a step is running, and may have looked already.
    if (timer === null) return;
    timer.cancel();
    schedule(0);
  });
  schedule(firstDelayMs);
  return {
    stop: () => {
      stopped = true;
      timer?.cancel();
      return running;
    },
  };
}

/** Resolves after `delayMs`. */
export function sleep(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    clock.after(delayMs, resolve);
  });
}
