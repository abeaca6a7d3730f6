/** The bounds of how membership and layout spread, with what happens at the edge of each. Times are in milliseconds. */

/** Members a node remembers, joiners among them; beyond it the longest silent one that is in no layout is forgotten. */
export const KNOWN_MEMBERS_MAX = 2048;
/** Entries in one ordinary gossip message: the own one and the 64 that rose or changed most recently (design 5). */
export const GOSSIP_RECENT_ENTRIES = 64;
/** Members a node exchanges with in each round. */
export const GOSSIP_FANOUT = 3;
/** Every so often all counters are compared, so that news that fell out of the recent 64 still arrives. */
export const FULL_DIGEST_INTERVAL_MS = 10_000;
/** One round in so many also calls a member that is thought down: it may only have changed its address. */
export const DEAD_CALL_ONE_IN = 6;
/** An answer to a gossip message is worthless once the next rounds have run. */
export const GOSSIP_TIMEOUT_MS = 2_000;

/** A higher boot counter is believed only so far ahead: a damaged one must not shut its node out for ever. */
export const INCARNATION_JUMP_MAX = 2 ** 20;
/** Peer and client addresses: longer ones are refused. */
export const ADDRESS_CHARACTERS_MAX = 255;

/** Members asked for an indirect probe. */
export const PROBE_HELPERS = 3;
/** A helper gives the accused so long, and the asker gives the helper twice that. */
export const PROBE_TIMEOUT_MS = 1_000;
/** How often overdue members and expired suspicions are looked for. */
export const SUSPICION_TICK_MS = 250;

/** Encoded layout documents above this are refused: 16 policies of 16,384 partitions fit with room to spare. */
export const LAYOUT_BYTES_MAX = 8 * 1024 * 1024;
/** A call to an elector. Long enough for a busy disk's fsync, short enough to go on without a dead one. */
export const ELECTOR_TIMEOUT_MS = 1_500;
/** After losing to a higher ballot a proposer waits a random time of up to this, doubled with each further loss. */
export const BALLOT_BACKOFF_MS = 100;
/** The longest such pause: a decision has 8 s. */
export const BALLOT_BACKOFF_MAX_MS = 3_200;
/** A promise, an acceptance or a freeze whose proposer has been silent this long is driven to a decision by its holder. */
export const ORPHAN_MS = 5_000;

/** Joins that arrive within this time of each other are taken together (design 6). */
export const JOIN_QUIET_MS = 2_000;
/** A joiner not heard of for so long is left out of the change: it will ask again. */
export const JOINER_FRESH_MS = 5_000;
/** A joiner waits no longer than this for the answer of an address. */
export const JOIN_TIMEOUT_MS = 2_000;
/** Addresses that a joiner asks at once; of more, the next ones in the next round. */
export const JOIN_ADDRESSES_MAX = 16;
/**
 * A joiner whom nobody welcomes asks again after this, a quarter longer each time. Nodes of a new cluster start within
 * seconds of each other: the rounds of the first ten seconds must be close together.
 */
export const JOIN_RETRY_MS = 250;
/** The longest pause of a joiner: how late it may notice that a seed has come up. */
export const JOIN_RETRY_MAX_MS = 5_000;
/** After the refusal `cluster_holds_data` asking often would only fill the log. */
export const JOIN_REFUSED_RETRY_MS = 15_000;
/** Storage members that are asked, one after another, before a freeze is given up. */
export const FREEZE_TIMEOUT_MS = 2_000;
/** How often a node looks whether it has a duty of formation or recovery. */
export const DUTY_TICK_MS = 250;
/** The same for a member of a formed cluster where nobody asks for anything: so much later is a joiner noticed. */
export const DUTY_REST_MS = 1_000;

/** createNamespace, deleteNamespace and settings give up after this; the caller answers 503. */
export const DECISION_TIMEOUT_MS = 8_000;
/** Enough of a SHA-256 to tell two sets of rows apart. */
export const SETTINGS_DIGEST_BYTES = 16;
/** Settings rows in one message; a cluster with more namespaces sends several. */
export const SETTINGS_ROWS_MAX = 1_024;
/** A settings row that could not be sent to a majority within this is `unavailable` (it still spreads by gossip). */
export const SETTINGS_TIMEOUT_MS = 5_000;

/** Distance from the median of the peers' clocks at which a node raises the alarm and lets others coordinate (design 4). */
export const CLOCK_OFFSET_ALARM_MS = 5_000;
/** The alarm ends below this: a clock at the edge must not raise it again and again. */
export const CLOCK_OFFSET_CLEAR_MS = 4_000;
/** Answers to gossip that took longer tell the time with an error of half of it, which must stay far below the alarm. */
export const CLOCK_SAMPLE_ROUND_TRIP_MAX_MS = 1_000;
/** A peer that has not answered for so long is no witness any more. */
export const CLOCK_SAMPLE_LIFE_MS = 60_000;
