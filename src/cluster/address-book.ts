/** The newest entries heard, kept across restarts: a node that comes back must find its peers without a `--join` list. */
import { decode, encode } from "@msgpack/msgpack";
import { DiskFullError } from "../env/disk.ts";
import type { Env } from "../env/env.ts";
import type { MetaStore } from "../env/meta-store.ts";
import { KNOWN_MEMBERS_MAX } from "./cluster-limits.ts";
import { decodeEntry, encodeEntry } from "./member-entry.ts";
import type { MemberList } from "./member-list.ts";
import type { WireValue } from "./peer-channel.ts";
import { asFields } from "./wire-read.ts";

const NAME = "members/known";

/** Addresses are only hints: an unreadable book is an empty one. */
export function loadAddressBook(env: Env, meta: MetaStore, members: MemberList): void {
  const stored = meta.get(NAME);
  if (stored === undefined) return;
  try {
    const entries = asFields(decode(stored) as WireValue, "members", KNOWN_MEMBERS_MAX);
    const nowMs = env.clock.monotonicMs();
    for (const entry of entries.map(decodeEntry)) members.merge(entry, nowMs);
  } catch (error) {
    env.logger.error("address-book-unreadable", { error: String(error) });
  }
}

/** Who asks to join is left out: it will ask again. On a full disk the older book stays, and nothing else is held up. */
export function saveAddressBook(env: Env, meta: MetaStore, members: MemberList): void {
  const entries = [...members.others()].map((m) => m.entry).filter((e) => !e.wantsToJoin);
  try {
    meta.set(NAME, encode(entries.map(encodeEntry)));
  } catch (error) {
    if (!(error instanceof DiskFullError)) throw error;
    env.logger.warn("address-book-not-saved", { reason: error.message });
  }
}
