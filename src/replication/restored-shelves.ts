/** Rows and hints of a restored backup, or of a removed node's directory: neither served nor merged until decided. */
export const RESTORED_SHELF = "restored";
/** Restored rows that may have been deleted and forgotten since: never served, never dropped by the program. */
export const QUARANTINE_SHELF = "quarantine";
