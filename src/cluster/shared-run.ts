/**
 * One act for all who ask for it at the same time. Whoever asks while it runs shares the next run, not this one, which may
 * have asked its question before the news was there.
 */
export class SharedRun {
  readonly #act: () => Promise<void>;
  #running: Promise<void> | null = null;
  #next: Promise<void> | null = null;

  /** REQUIRES: `act` never rejects. */
  constructor(act: () => Promise<void>) {
    this.#act = act;
  }

  /** Resolves when a run has ended that began after the call, or with it. */
  ask(): Promise<void> {
    if (this.#running === null) return this.#start();
    this.#next ??= this.#running.then(() => {
      this.#next = null;
      return this.#start();
    });
    return this.#next;
  }

  #start(): Promise<void> {
    const running = this.#act().then(() => {
      if (this.#running === running) this.#running = null;
    });
    this.#running = running;
    return running;
  }
}
