/** The few file operations that a data directory needs. Synchronous where they run at start and stop only. */
export interface Files {
  /** Creates the directory (0700) with its parents if it is missing. @throws Error with the path and the reason. */
  makeDirectory(path: string): void;
  exists(path: string): boolean;
  /** Size in bytes, or undefined when there is no such file. */
  sizeBytes(path: string): number | undefined;
  /** Undefined when there is no such file; @throws Error when it cannot be read. */
  read(path: string): Uint8Array | undefined;
  /** As `read`, of the first bytes alone: fewer than asked for when the file has no more. */
  readStart(path: string, bytesMax: number): Uint8Array | undefined;
  /** Atomic and durable: temporary file (0600), fsync, rename, fsync of the directory. */
  write(path: string, bytes: Uint8Array): void;
  /**
   * A small file that is overwritten in place, from its first byte, without a sync: it survives the process, and a power
   * cut may leave an older or a torn one. Made (0600) if it is missing.
   */
  openMark(path: string): { write(bytes: Uint8Array): void; close(): void };
  /** Names in a directory, sorted; none when there is no such directory. */
  list(path: string): string[];
  /** Makes the bytes of a file durable. */
  sync(path: string): void;
  /** Hex SHA-256 of a file of any size, without holding up the process. */
  sha256(path: string): Promise<string>;
  /** A durable copy (0600) of a file of any size, without holding up the process. */
  copy(from: string, to: string): Promise<void>;
  rename(from: string, to: string): void;
  remove(path: string): void;
  /**
   * Takes an exclusive lock that ends with the process, also on kill -9.
   * @throws LockedError when another live process holds it.
   */
  lock(path: string): { release(): void };
}

export class LockedError extends Error {
  override readonly name = "LockedError";
}
