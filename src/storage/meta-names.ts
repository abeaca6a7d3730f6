/** Names of small values that storage itself keeps among those of the floors above. */

/** 16 bytes: the actor of this database's dots. Absent: the next open of the store makes a new one. */
export const ACTOR_META = "actor-id";
/** 16 bytes: as which peers know this database, whatever actor it mints under since. Absent: its actor. */
export const DATABASE_META = "database-id";
/** Followed by the id of another node's database in hex digits: what is remembered of it (replication/actors-seen.ts). */
export const DATABASE_SEEN_META = "database-seen/";
/** 8 bytes: the end of the last leased block of epochs. */
export const EPOCH_LEASE_META = "epoch-lease";
/** The node this database belongs to, in hex digits as UTF-8: shows a file that was copied from another node. */
export const NODE_META = "node-id";
/**
 * Present while this database stands in for one that was lost. Set before it is first used, so that a crash cannot make
 * it look whole; replication ends the doubt and removes it (replication/doubt.ts).
 */
export const IN_DOUBT_META = "in-doubt";
/**
 * Present from the restore of a backup until replication has put every row of it on the shelf `restored`: until then none of
 * them may be served or merged, since a delete may have been reaped since the backup (replication/restored.ts).
 */
export const RESTORED_META = "restored";
