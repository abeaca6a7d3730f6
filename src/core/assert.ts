/** A bug in this program, never an outcome: nothing may catch it to go on. */
export class AssertionError extends Error {
  override readonly name = "AssertionError";
}

/**
 * States what must hold. Stays on in production: a wrong answer costs more than a comparison.
 * @throws AssertionError when `condition` is false. Give a constant message, so that the path that holds builds no string.
 */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}
