import { type NodeId, parseNodeId } from "../core/ids.ts";
import type { Files } from "../env/files.ts";
import { attempt, DataDirectoryError } from "./data-directory-error.ts";
import type { DataDirectoryOptions } from "./data-directory-options.ts";
import { decodeIdentity, encodeIdentity, type Identity } from "./identity.ts";

type Options = Pick<DataDirectoryOptions, "path" | "files" | "random" | "clock" | "logger">;

export const IDENTITY_FILES = ["identity.json", "identity.copy.json"] as const;

/** One of the two files as it was found. */
export type FoundIdentity =
  | { readonly state: "whole"; readonly identity: Identity }
  | { readonly state: "missing" }
  | { readonly state: "damaged"; readonly reason: string };

/**
 * The identity of a data directory, in two files: without it the node would be a stranger to its own cluster, and its
 * database nobody's. Each is written whole, the first one first; one that is damaged or missing is made again from the other.
 * @throws DataDirectoryError
 */
export class IdentityFile {
  readonly #options: Options;
  #identity: Identity;

  constructor(options: Options) {
    this.#options = options;
    const [first, copy] = IDENTITY_FILES.map((name) =>
      findIdentity(options.files, `${options.path}/${name}`),
    ) as [FoundIdentity, FoundIdentity];
    if (first.state === "missing" && copy.state === "missing") {
      this.#identity = this.#makeNew();
    } else {
      this.#identity = this.#choose(first, copy);
    }
  }

  get identity(): Identity {
    return this.#identity;
  }

  /** Durable when it returns. One that fails has changed nothing here, so that the next is not taken for a repetition. */
  save(changes: Partial<Identity>): void {
    const identity = { ...this.#identity, ...changes };
    const { path, files } = this.#options;
    const bytes = encodeIdentity(identity);
    for (const name of IDENTITY_FILES) {
      const file = `${path}/${name}`;
      attempt(`write ${file}`, "Make room on the disk, and the directory writable.", () =>
        files.write(file, bytes),
      );
    }
    this.#identity = identity;
  }

  #choose(first: FoundIdentity, copy: FoundIdentity): Identity {
    const { path, logger } = this.#options;
    if (first.state === "whole") {
      if (copy.state !== "whole") {
        logger.warn("identity-repaired", { file: `${path}/${IDENTITY_FILES[1]}`, was: copy.state });
        return first.identity;
      }
      // Who put an older file in the place of the first must not make the node start as it once was.
      return copy.identity.boots > first.identity.boots ? copy.identity : first.identity;
    }
    if (copy.state === "whole") {
      logger.warn("identity-repaired", { file: `${path}/${IDENTITY_FILES[0]}`, was: first.state });
      // The first may have been one start ahead: no boot counter may be used twice.
      return { ...copy.identity, boots: copy.identity.boots + 1 };
    }
    const reason = [first, copy].find((found) => found.state === "damaged");
    throw new DataDirectoryError(
      `Cannot understand ${path}/${IDENTITY_FILES[0]}: ${reason?.state === "damaged" ? reason.reason : ""}. ` +
        "Restore it from a backup; to start as a new, empty node, use an empty directory.",
    );
  }

  #makeNew(): Identity {
    const { path, files, random, clock } = this.#options;
    if (files.exists(`${path}/gyre.db`)) {
      throw new DataDirectoryError(
        `Cannot open data directory ${path}: it has a database but no identity.json. ` +
          "Restore that file from a backup; to start as a new, empty node, use an empty directory.",
      );
    }
    this.#identity = {
      nodeId: newNodeId(random.bytes(16)),
      clusterId: undefined,
      createdAtMs: Math.floor(clock.wallMs()),
      boots: 0,
      database: "none",
    };
    this.save({});
    return this.#identity;
  }
}

/** What one of the files says. @throws DataDirectoryError when it cannot be read */
export function findIdentity(files: Files, file: string): FoundIdentity {
  const bytes = attempt(`read ${file}`, "Make it readable for this user.", () => files.read(file));
  if (bytes === undefined) return { state: "missing" };
  try {
    return { state: "whole", identity: decodeIdentity(bytes) };
  } catch (error) {
    return { state: "damaged", reason: error instanceof Error ? error.message : String(error) };
  }
}

function newNodeId(bytes: Uint8Array): NodeId {
  let text = "";
  for (const byte of bytes) text += byte.toString(16).padStart(2, "0");
  return parseNodeId(text);
}
