/** Query options, headers and settings, put together into what a request asks for. */
import type { NamespaceSettings } from "../cluster/namespace-settings.ts";
import type { ConflictPolicy } from "../core/conflict.ts";
import type { Consistency, ConsistencyLevel } from "../core/consistency.ts";
import { COPIES_MAX } from "../core/limits.ts";
import { badRequest } from "./problem.ts";
import type { Query } from "./target.ts";

/** One object for each level: most requests name none. */
const LEVELS: Readonly<Record<ConsistencyLevel, { readonly level: ConsistencyLevel }>> = {
  one: { level: "one" },
  "local-quorum": { level: "local-quorum" },
  quorum: { level: "quorum" },
  "each-quorum": { level: "each-quorum" },
  all: { level: "all" },
};
const LEVEL_NAMES = Object.keys(LEVELS).join(", ");

export function isConsistencyLevel(text: string): text is ConsistencyLevel {
  return Object.hasOwn(LEVELS, text);
}

export function isConflictPolicy(text: string): text is ConflictPolicy {
  return text === "majority" || text === "latest" || text === "siblings";
}

export interface Terms {
  readonly consistency: Consistency;
  readonly sloppy: boolean;
  readonly conflict: ConflictPolicy;
}

/** `countName` is `r` for reads and `w` for writes. @throws HttpProblem 400. */
export function parseTerms(query: Query, settings: NamespaceSettings, countName: "r" | "w"): Terms {
  if (query.size === 0) {
    const { consistency } = settings;
    return {
      consistency: LEVELS[consistency],
      sloppy: !settings.strict && !isStrictLevel(consistency),
      conflict: settings.conflict,
    };
  }
  const consistency = parseConsistency(query, settings, countName);
  return {
    consistency,
    sloppy: parseSloppy(query.get("sloppy"), consistency, settings),
    conflict: parseConflict(query.get("conflict"), settings),
  };
}

/** These count each home slot, so a stand-in can never count. */
function isStrictLevel(level: ConsistencyLevel): boolean {
  return level === "all" || level === "each-quorum";
}

function parseConsistency(
  query: Query,
  settings: NamespaceSettings,
  countName: "r" | "w",
): Consistency {
  const count = query.get(countName);
  const level = query.get("consistency");
  if (count !== undefined) {
    if (level !== undefined) {
      throw badRequest(`consistency= and ${countName}= are both given: want one of them`);
    }
    if (!/^[1-9]\d?$/.test(count) || Number(count) > COPIES_MAX) {
      throw badRequest(
        `Cannot read ${countName}=${count}: want a whole number from 1 to ${COPIES_MAX}`,
      );
    }
    return { count: Number(count) };
  }
  if (level === undefined) return LEVELS[settings.consistency];
  if (!isConsistencyLevel(level)) {
    throw badRequest(`Cannot read consistency=${level}: want one of ${LEVEL_NAMES}`);
  }
  return LEVELS[level];
}

function parseSloppy(
  text: string | undefined,
  consistency: Consistency,
  settings: NamespaceSettings,
): boolean {
  const strictLevel = "level" in consistency && isStrictLevel(consistency.level);
  const sloppy = parseBoolean("sloppy", text, !settings.strict && !strictLevel);
  if (sloppy && settings.strict)
    throw badRequest("sloppy=true is refused: the namespace is strict");
  if (sloppy && strictLevel) {
    throw badRequest("sloppy=true contradicts consistency=all and each-quorum");
  }
  return sloppy;
}

export function parseBoolean(name: string, text: string | undefined, absent: boolean): boolean {
  if (text === undefined) return absent;
  if (text !== "true" && text !== "false") {
    throw badRequest(`Cannot read ${name}=${text}: want true or false`);
  }
  return text === "true";
}

function parseConflict(text: string | undefined, settings: NamespaceSettings): ConflictPolicy {
  if (text === undefined) return settings.conflict;
  if (!isConflictPolicy(text)) {
    throw badRequest(`Cannot read conflict=${text}: want majority, latest or siblings`);
  }
  return text;
}

const SECONDS = /^\d{1,12}(?:\.\d{1,9})?$/;
/** The end of the year 9999: what dates can be written for. */
const EXPIRES_AT_LAST_MS = 253_402_300_799_000;

/**
 * When a value put now expires, in ms since 1970, 0 for never: from `ttl` (seconds from now, 0 for never) or `expires`
 * (unix seconds), else the namespace's default. @throws HttpProblem 400.
 */
export function parseExpiry(
  ttl: string | undefined,
  expires: string | undefined,
  settings: NamespaceSettings,
  nowMs: number,
): number {
  if (ttl !== undefined && expires !== undefined) {
    throw badRequest("ttl and expires are both given: want one of them");
  }
  if (expires !== undefined) {
    if (!SECONDS.test(expires)) {
      throw badRequest(`Cannot read expires=${expires}: want unix seconds, such as 1893456000`);
    }
    return checkedExpiry(Math.floor(Number(expires) * 1000), nowMs);
  }
  if (ttl !== undefined && !SECONDS.test(ttl)) {
    throw badRequest(`Cannot read ttl=${ttl}: want seconds, such as 60 or 0.5, or 0 for never`);
  }
  const seconds = ttl === undefined ? settings.defaultTtlSeconds : Number(ttl);
  // Rounded up: a ttl below a millisecond must not become "never", nor end before it began.
  return seconds === 0 ? 0 : checkedExpiry(Math.ceil(nowMs + seconds * 1000), nowMs);
}

function checkedExpiry(expiresAtMs: number, nowMs: number): number {
  if (expiresAtMs <= nowMs) {
    throw badRequest(
      "The value would expire before it is stored: want a time that is still to come",
    );
  }
  if (expiresAtMs > EXPIRES_AT_LAST_MS) {
    throw badRequest(
      "The value would expire after the year 9999: leave ttl and expires out for never",
    );
  }
  return expiresAtMs;
}
