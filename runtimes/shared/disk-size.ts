import { statfsSync } from "node:fs";

/** Bytes of the disk that holds the directory; 0 where it cannot say, as some file systems of the network. */
export function diskBytesAt(directory: string): number {
  try {
    const { blocks, bsize } = statfsSync(directory);
    return blocks * bsize;
  } catch {
    return 0;
  }
}
