/** The result, or null when it throws: for parsers whose failure says no more than that they failed. */
export function orNull<T>(parse: () => T): T | null {
  try {
    return parse();
  } catch {
    return null;
  }
}
