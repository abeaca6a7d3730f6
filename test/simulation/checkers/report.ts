/** What a checker says when a promise was broken. */
export interface Violation {
  readonly checker: string;
  readonly atMs: number;
  readonly text: string;
}

export type Report = (checker: string, text: string) => void;
