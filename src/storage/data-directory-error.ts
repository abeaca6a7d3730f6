/** The directory cannot be used. The message names the path, the reason and what to do. */
export class DataDirectoryError extends Error {
  override readonly name = "DataDirectoryError";
}

/** Runs `run`; what it throws comes out as a DataDirectoryError: "Cannot <act>: <reason>. <remedy>". */
export function attempt<T>(act: string, remedy: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw failure(act, remedy, error);
  }
}

export function failure(act: string, remedy: string, cause: unknown): DataDirectoryError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new DataDirectoryError(`Cannot ${act}: ${reason}. ${remedy}`.trimEnd(), { cause });
}
