/** Small durable values by name; changes are committed with FULL sync before the call returns. */
export interface MetaStore {
  get(name: string): Uint8Array | undefined;
  set(name: string, value: Uint8Array): void;
  /** In one commit, whatever their number. */
  setAll(values: MetaValues): void;
  delete(name: string): void;
  names(prefix: string): string[];
}

/** By name. */
export type MetaValues = ReadonlyMap<string, Uint8Array>;
