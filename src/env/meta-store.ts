/** Small durable values by name; `set` and `delete` are committed with FULL sync before they return. */
export interface MetaStore {
  get(name: string): Uint8Array | undefined;
  set(name: string, value: Uint8Array): void;
  delete(name: string): void;
  names(prefix: string): string[];
}
