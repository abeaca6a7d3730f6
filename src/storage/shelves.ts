/** Shelves on which rows of a restored backup are kept aside. */

/** Rows and hints of the backup: neither served nor merged until the other owners have been heard. */
export const RESTORED_SHELF = "restored";
/** What may have been deleted and forgotten since the backup: never served, never dropped by the program. */
export const QUARANTINE_SHELF = "quarantine";
