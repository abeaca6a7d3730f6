import type { Clock, Timer } from "./clock.ts";
import type { Logger } from "./logger.ts";

/** Background work in bounded steps. `step` returns the delay in ms until the next one. */
export interface Worker {
  readonly name: string;
  step(): Promise<number>;
}

export interface RunningWorker {
  /** No step begins after this; resolves when the running one has ended. */
  stop(): Promise<void>;
}

const PAUSE_AFTER_ERROR_MS = 1_000;

/** Runs the steps one after another. A step that throws is logged and tried again after a pause. */
export function startWorker(
  clock: Clock,
  logger: Logger,
  worker: Worker,
  firstDelayMs: number,
): RunningWorker {
  let stopped = false;
  let timer: Timer | null = null;
  let running: Promise<void> = Promise.resolve();

  const turn = async (): Promise<void> => {
    let delayMs = PAUSE_AFTER_ERROR_MS;
    try {
      delayMs = await worker.step();
    } catch (error) {
      logger.error("worker-step-failed", { worker: worker.name, error: String(error) });
    }
    if (!stopped) schedule(delayMs);
  };
  const schedule = (delayMs: number): void => {
    timer = clock.after(delayMs, () => {
      running = turn();
    });
  };
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
