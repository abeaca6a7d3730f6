/**
 * Every cap of the store: its unit (last in the name), its reason, and what happens at the edge. "Refused" is an answer
 * to the caller; nothing is ever cut short in silence.
 */
import { assert } from "./assert.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

// ---- what a client may store -------------------------------------------------------------------------------------

/** UTF-8 bytes of a key; fits every URL limit when percent-encoded. Longer: 414. */
export const KEY_BYTES_MAX = 512;
/** Bytes of one value, as with Cloudflare KV; a value is held in memory several times on its way. Larger: 413. */
export const VALUE_BYTES_MAX = 25 * MIB;
/** Bytes of the metadata's JSON text after decoding: it travels in a header and in every listing. Larger: 413. */
export const METADATA_BYTES_MAX = KIB;
/** Bytes of a content type: it is a header. Longer: 400. */
export const CONTENT_TYPE_BYTES_MAX = 256;
/** Bytes of an Idempotency-Key before it is hashed. Longer: 400. */
export const IDEMPOTENCY_KEY_BYTES_MAX = 64;
/** Entity tags in one condition of a write, which travels with a forwarded put. More: 400. */
export const ENTITY_TAGS_MAX = 64;
/** Characters of an entity tag, quotes included. Ours have 34, so a longer one matches nothing and is left out. */
export const ENTITY_TAG_CHARS_MAX = 256;
/** Items of one batch request. More: 400. */
export const BATCH_OPS_MAX = 1000;
/** Bytes of a batch request and of its answer: decoded whole. A larger request: 413; later items of a larger answer: 413. */
export const BATCH_BYTES_MAX = 64 * MIB;
/** Keys in one page of a listing. More: 400. */
export const LIST_LIMIT_MAX = 1000;
/** Time a request may take when it names none, in ms; shrinks at each hop. Then: 503, for writes indeterminate. */
export const REQUEST_TIMEOUT_DEFAULT_MS = 5000;

// ---- records -----------------------------------------------------------------------------------------------------

/**
 * Siblings that a client's put may leave in its coordinator's record. More: 409. Merge has no such limit: refusing a
 * replica's record would lose acknowledged writes (counterexample 13).
 */
export const SIBLINGS_MAX = 100;
/** Siblings from which on a put logs a warning: somebody writes with contexts that are old, again and again. */
export const SIBLINGS_WARN = 25;
/** Bytes of a record (recordBytes) that a client's put may leave. More: 409. Merge has no such limit. */
export const RECORD_BYTES_MAX = 64 * MIB;
/** Counter of a dot: well below 2^53, so that adding one is exact. At the edge the coordinator takes a new epoch. */
export const COUNTER_MAX = 2 ** 48;
/** Epoch of a dot: 32 bits on disk. At the edge the node must take a new actor id; 4 billion epochs do not wear out. */
export const EPOCH_MAX = 2 ** 32 - 1;
/** Epochs leased durably at a time, so that taking one costs no commit of its own (Riak leases as many). */
export const EPOCH_LEASE = 10_000;
/** A stamp in microseconds is an exact number until the year 2255. At the edge stamps stop rising and dots decide. */
export const STAMP_MAX = 2 ** 53 - 1;
/** How far ahead of the wall clock a received stamp may move the local clock, in ms. Beyond: the record is stored as it is. */
export const CLOCK_AHEAD_MAX_MS = 60_000;
/** An expiry in ms is an exact number. */
export const EXPIRES_AT_MAX_MS = 2 ** 53 - 1;

/** Context entries from which on the reaper looks for some that may go: tokens fit many times as many. */
export const CONTEXT_ENTRIES_COMPACT = 32;

// ---- reaping ------------------------------------------------------------------------------------------------------

/** How long a tombstone or an expired value is kept at least, in ms: a day of clocks that disagree, and of sessions. */
export const GRACE_DEFAULT_MS = 24 * 3_600_000;
/** Longest `--grace-ms`: a year. */
export const GRACE_MAX_MS = 365 * GRACE_DEFAULT_MS;
/**
 * The quiet that a reap round asks for, in lives of a message (D): a copy of a row lives for at most two, one in a read and one
 * in the message that the read becomes, and a round takes at most two.
 */
export const QUIET_LIVES = 4;
/** What a round may take, in lives of a message. Longer: void. */
export const REAP_ROUND_LIVES = 2;
/** Records in one reap round: one question to each member of the cluster for all of them. */
export const REAP_KEYS_MAX = 64;
/** Rows that the reaper looks at in one step: a millisecond or two. */
export const REAP_STEP_ROWS = 128;
/** Pause between its steps, in ms: a million rows take a quarter of an hour, for a hundredth of a core. */
export const REAP_STEP_PAUSE_MS = 100;
/** How often a node asks whether its database is a copy of another, in ms. */
export const COPY_CHECK_INTERVAL_MS = 1_000;
/** How long after its start a node waits for the word of all members before it mints, in ms. Puts go to other homes meanwhile. */
export const COPY_CHECK_PATIENCE_MS = 3_000;
/** Peers that it asks each time. */
export const COPY_CHECK_PEERS = 2;
/** Actors of others whose newest sequences are remembered, in memory. More: the one unheard for longest is forgotten. */
export const ACTORS_SEEN_MAX = 4_096;
/** Rows of a restored backup that one step puts on their shelf, or asks the other owners about. */
export const RESTORED_KEYS_AT_ONCE = 128;
/** Bytes of values in them, which are in memory together: no more than this and one row. */
export const RESTORED_BYTES_AT_ONCE = 4 * MIB;
/** Rows in one page of the quarantine: with values of the largest size it is still an answer that a client can take. */
export const QUARANTINE_PAGE_ROWS = 8;
/**
 * Times remembered for the quiet rule, by the hash of the key: at most 4 MiB. At a thousand deliveries of hints a second one
 * key in five looks touched that was not, and is reaped later.
 */
export const TOUCHED_SLOTS = 2 ** 20;

// ---- tokens that clients carry -----------------------------------------------------------------------------------

/** Context entries in one token. More (the reaper compacts from 32 on): the token is refused with 422. */
export const TOKEN_ENTRIES_MAX = 256;
/** Bytes of a decoded token: servers take header lines of this size. Larger: 422. */
export const TOKEN_BYTES_MAX = 8 * KIB;
/** Keys that a session remembers. More: the least recently used one is forgotten, and with it what the session was promised. */
export const SESSION_ENTRIES_MAX = 64;
/** Bytes of a decoded session: 8 KiB as text, half of what servers take as headers. More: the least recently used keys go. */
export const SESSION_BYTES_MAX = 6 * KIB;
/** How long a session remembers a key that it does not use, in ms; far below the grace of tombstones. Then: forgotten. */
export const SESSION_LIFE_MS = 3_600_000;

// ---- placement and membership ------------------------------------------------------------------------------------

/** Q, a power of two, fixed when the cluster is created. 16 keep small test clusters balanced. */
export const PARTITIONS_MIN = 16;
/** 16384 give 1,000 nodes some 49 slots each with three copies; more would bloat the layout document. */
export const PARTITIONS_MAX = 16_384;
/** 20 slots a node, the least that balances within 5 %, up to 150 nodes with three copies. */
export const PARTITIONS_DEFAULT = 1024;
/** Placement policies by name: each brings its own assignment and trees. More: 400. */
export const POLICIES_MAX = 16;
/** Copies a policy may ask for: a put waits for a majority of them. More: 400. */
export const COPIES_MAX = 16;
/** Members that decide layouts: four of seven survive any two regions of five. */
export const ELECTORS_MAX = 7;
/** Namespaces in the layout document, which every node holds and sends whole. More: 409. */
export const NAMESPACES_MAX = 10_000;
/** Members of a cluster: the size the failure detector and `assign` are measured for. More: joining is refused. */
export const MEMBERS_MAX = 1000;

// ---- between nodes -----------------------------------------------------------------------------------------------

/** Batches on their way to one peer: hides the round trip between regions. More wait in the queue. */
export const PEER_INFLIGHT_MAX = 8;
/** Messages waiting for one peer. More: refused as overloaded, at once. */
export const PEER_QUEUE_ITEMS_MAX = 4096;
/** Bytes waiting for one peer. More: refused as overloaded, at once; one message alone always fits. */
export const PEER_QUEUE_BYTES_MAX = 64 * MIB;
/** Bytes of one request or answer between peers, counted while streaming. More: 413. */
export const PEER_BODY_BYTES_MAX = 80 * MIB;
/** Bodies of requests of peers that are still arriving, over all connections. More: 503, to the caller no answer. */
export const PEER_BODIES_ARRIVING_BYTES_MAX = 256 * MIB;
/** Connections to the peer listener. More: the oldest on which nothing was proven is closed, else the new one. */
export const PEER_CONNECTIONS_MAX = 8_192;
/** Records above this many bytes travel alone: a batch must not wait for one of them. */
export const RECORD_ALONE_BYTES = 256 * KIB;
/** Values up to this many bytes are sent in answer to a digest read too: a second round trip would cost more. */
export const DIGEST_INLINE_BYTES = KIB;
/**
 * D: how long a message between nodes, and whatever a node holds in memory of a record, may live. A copy that is older must
 * be gone before its key can be reaped (design 7), so every request is given less time, and a receiver drops what comes
 * later. Far below the grace of tombstones, above the longest request.
 */
export const MESSAGE_LIFE_MS = 60_000;
/** The part of D at which receivers drop a message: the rest is for clocks that were stopped or do not tick alike. */
export const MESSAGE_AGE_PERCENT = 75;
/** The part of D by which a caller's time may run ahead of its session's: beyond it this node was asleep, and knows no ages. */
export const CLOCK_GAP_PERCENT = 12;
/**
 * Life of a session between two nodes: ages are told in its time, and two monotonic clocks that differ by 1,000 parts in a
 * million (NTP slews up to 500) are 1.8 s apart after it. Then the next message says hello again.
 */
export const PEER_SESSION_LIFE_MS = 30 * 60_000;
/** Longest `--request-timeout-ms`. Above: refused at start. */
export const REQUEST_TIMEOUT_MAX_MS = 40_000;
/** The least patience with a silent home before a stand-in is asked in addition, in ms. */
export const STAND_IN_AFTER_MIN_MS = 150;
/**
 * Bytes of hints that a node keeps for absent homes, or a tenth of its disk if that is less. At the edge it refuses new ones
 * and another node stands in; what it has taken it keeps.
 */
export const HINT_BYTES_MAX = 1024 * MIB;
/** The share of the disk that hints may take, in percent. */
export const HINT_DISK_PERCENT = 10;
/**
 * How long a hint waits for its target, in ms. Older ones, and the oldest ones over the budget, are left to anti-entropy, but
 * only when as many owners as the put asked for hold what the hint holds.
 */
export const HINT_AGE_MAX_MS = 3 * 3_600_000;
/** Hints that one node hands over in a second: a home that comes back has clients to serve as well. */
export const HANDOFF_ROWS_PER_SECOND = 5000;
/** Bytes of hints that one node hands over in a second, for the same reason. */
export const HANDOFF_BYTES_PER_SECOND = 32 * MIB;
/** Hints on their way at once: hides the round trip between regions. */
export const HANDOFF_ROWS_AT_ONCE = 256;
/** Bytes of hints on their way at once, by the mean of their shelf; one alone always may. */
export const HANDOFF_BYTES_AT_ONCE = 4 * MIB;
/** Hints of absent homes that are known to need no custody any more. Beyond it all are looked at again. */
export const HANDOFF_REMEMBERED_MAX = 65_536;
/**
 * How long a round of anti-entropy with all peers takes when nothing differs, in ms: each pair compares its roots twice in
 * it, 18 KB for a thousand units.
 */
export const ANTI_ENTROPY_INTERVAL_MS = 10_000;
/** Bytes that a node's own rounds of anti-entropy send and receive in a second. Beyond it they wait: clients come first. */
export const ANTI_ENTROPY_BYTES_PER_SECOND = 32 * MIB;
/** Rows that a node's own rounds compare or exchange in a second, for the same reason: some 20 us of work each. */
export const ANTI_ENTROPY_ROWS_PER_SECOND = 20_000;
/** Messages of the rounds of others that a node answers at once: one round sends four. More: refused as overloaded. */
export const ANTI_ENTROPY_ANSWERS_MAX = 16;
/** Rows that a node reads of a slice of a leaf for one comparison. More are left to the next round. */
export const ANTI_ENTROPY_RANGE_ROWS_MAX = 65_536;
/** Rows of the largest list that is compared row by row. Longer ones are first cut into sixteen. */
export const ANTI_ENTROPY_LIST_ROWS_MAX = 64;
/** Rows of a whole unit, or a group of its leaves, that are listed at once where most of it differs. */
export const ANTI_ENTROPY_WHOLE_ROWS_MAX = 256;
/** Records, or keys of missing ones, in one message of anti-entropy: some ms of work for its receiver. */
export const ANTI_ENTROPY_ROWS_PER_MESSAGE = 256;
/** Bytes of records in one message of anti-entropy; one record alone always fits. */
export const ANTI_ENTROPY_MESSAGE_BYTES = MIB;
/** Rows that are read for a tree before other turns may run: a few ms of work. */
export const TREE_SLICE_ROWS = 256;
/** How often every row is read and the trees are made anew to compare, in ms: a week, as ZFS and its like are scrubbed. */
export const SCRUB_INTERVAL_MS = 7 * 24 * 3_600_000;
/** Rows that a scrub reads in a second. A million take ten minutes; more would be felt by clients of a slow disk. */
export const SCRUB_ROWS_PER_SECOND = 2000;
/** Stand-ins that one read asks, of a ring that may have hundreds: a hint is nearly always with the first. More: not asked. */
export const STAND_IN_READS_MAX = 8;

// ---- the node ----------------------------------------------------------------------------------------------------

/** Records written in one event-loop turn and so in one commit: bounds how long a commit blocks. More: committed early. */
export const TURN_RECORDS_MAX = 256;
/** Bytes written in one turn. More: committed early; one record alone always fits. */
export const TURN_BYTES_MAX = MIB;
/** Bytes of decoded records in memory. The least recently used leave. */
export const CACHE_BYTES_DEFAULT = 64 * MIB;
/** Gets, puts and lists that one node coordinates at once. At the edge the answer is 503 overloaded, at once. */
export const COORDINATED_MAX = 16_384;
/** Forwarded requests whose ids are remembered, so that one that arrives twice is executed once. The oldest is forgotten. */
export const FORWARDS_REMEMBERED_MAX = 8192;
/** Read repairs that run at once. Beyond it a repair is left to the next read of the key. */
export const READ_REPAIRS_MAX = 1024;
/** Rows that a scan reads before other turns may run: a few ms of work, so that no put waits longer for one. */
export const SCAN_SLICE_ROWS = 256;
/**
 * Bytes of keys and heads after which a scan's answer ends, with more to come. A last slice of rows with the most siblings
 * and metadata may exceed it by some 35 MiB, which still fits a peer's body.
 */
export const SCAN_ANSWER_BYTES_MAX = 16 * MIB;

assert(COUNTER_MAX + 1 <= Number.MAX_SAFE_INTEGER, "counters must stay exact");
assert(
  REQUEST_TIMEOUT_MAX_MS * 100 < MESSAGE_LIFE_MS * MESSAGE_AGE_PERCENT,
  "no request may outlive a message",
);
assert(
  (PEER_SESSION_LIFE_MS * 1_000) / 1_000_000 <
    (MESSAGE_LIFE_MS * (100 - MESSAGE_AGE_PERCENT - CLOCK_GAP_PERCENT)) / 100,
  "clocks must not differ by more than is spared for them",
);
assert(SIBLINGS_WARN < SIBLINGS_MAX, "the warning must come before the refusal");
assert(VALUE_BYTES_MAX < RECORD_BYTES_MAX, "a value alone must fit a record");
assert(VALUE_BYTES_MAX * 2 < BATCH_BYTES_MAX, "a batch must fit a value, base64 included");
assert(RECORD_BYTES_MAX < PEER_BODY_BYTES_MAX, "a record must fit one peer request");
assert(PEER_QUEUE_BYTES_MAX >= RECORD_BYTES_MAX, "a record must fit an empty queue");
assert(RECORD_ALONE_BYTES < TURN_BYTES_MAX, "a turn must hold more than one small record");
assert(DIGEST_INLINE_BYTES < RECORD_ALONE_BYTES, "an inlined value must fit a batch");
assert(
  PARTITIONS_MIN <= PARTITIONS_DEFAULT && PARTITIONS_DEFAULT <= PARTITIONS_MAX,
  "Q in its range",
);
assert(
  ELECTORS_MAX % 2 === 1,
  "an even number of electors tolerates no more failures than one fewer",
);
assert(TOKEN_ENTRIES_MAX * (16 + 5 + 7) < TOKEN_BYTES_MAX, "a token of the most entries must fit");
assert(
  STAND_IN_AFTER_MIN_MS < REQUEST_TIMEOUT_DEFAULT_MS,
  "a stand-in must come within the deadline",
);
