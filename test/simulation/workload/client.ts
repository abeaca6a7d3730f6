/** One client: what it remembers of each key, and its session. */

/** What a client holds of a key: the newest answer that gave it a context. */
export interface Known {
  readonly token: string;
  readonly seen: ReadonlySet<number>;
  readonly etag: string | null;
  /** The writes that the tag is of: the values that were shown with it. */
  readonly tagged: readonly number[];
}

/** A token, and what it stands for: by key, the writes that every later answer of the session must reflect. */
export interface Session {
  readonly token: string;
  readonly seen: ReadonlyMap<string, ReadonlySet<number>>;
}

export class Client {
  readonly known = new Map<string, Known>();
  /** Null for a client without one. The calls of a session should follow one another; here each goes on from some token. */
  session: Session | null;

  constructor(hasSession: boolean) {
    this.session = hasSession ? { token: "new", seen: new Map() } : null;
  }
}

/** The session as the answer with this token leaves it. */
export function sessionAfter(
  before: Session,
  token: string,
  key: string,
  shown: Iterable<number>,
): Session {
  const seen = new Map(before.seen);
  seen.set(key, new Set([...(before.seen.get(key) ?? []), ...shown]));
  return { token, seen };
}
