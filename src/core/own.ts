/**
 * What a record holds under a name that somebody else chose, in an address, a configuration or a peer's document:
 * "constructor" is in every object, and yet in none of ours.
 */
export function own<T>(record: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(record, name) ? record[name] : undefined;
}
