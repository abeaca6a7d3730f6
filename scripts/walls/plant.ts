/** A violation of one wall, to be planted in a copy of the project. */
export interface Plant {
  readonly wall: string;
  /** A file that does not exist otherwise. */
  readonly file: string;
  readonly text: string;
  readonly tool: "tsc" | "biome" | "knip" | "tidy";
  /** What the tool's report must say of the file. */
  readonly says: RegExp;
}
