/** Runs tasks one after another: a node's own decisions must not bid against each other. */
export class Serial {
  #tail: Promise<unknown> = Promise.resolve();

  /** Begins when all tasks given before have ended, whatever their outcome. */
  run<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(task);
    // The tail only marks the end; whoever holds `result` hears of the failure.
    this.#tail = result.catch(() => undefined);
    return result;
  }
}
