/** Bytes from a disk or a peer that are not what the format says. The reader must treat them as absent or refuse them. */
export class FormatError extends Error {
  override readonly name = "FormatError";
}
