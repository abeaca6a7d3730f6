/** One thing that must not have happened, and where to look for it in the history. */
export interface Violation {
  readonly checker: string;
  readonly key: string;
  readonly text: string;
}
