/**
 * Bugs to plant, one at a time, in a copy of the tree: a checker that has never failed proves nothing. Each text to be
 * replaced must occur exactly once, so that a mutation cannot rot in silence when the code moves on.
 */
export interface Mutation {
  readonly name: string;
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}
