import { byteString, bytesToHex, utf8Encode } from "../core/bytes.ts";
import type { Crypto } from "../env/crypto.ts";

/** What a key is for. Each has a key of its own, so that a token of one kind is never valid as another. */
export type KeyPurpose =
  | "peer-request"
  | "peer-response"
  | "context"
  | "cursor"
  | "session"
  | "row-digest";

export interface NamedKey {
  /** 12 lower-case hex digits: tells keys of a ring apart, says nothing about the secret. */
  readonly keyId: string;
  /** 32 bytes. */
  readonly key: Uint8Array;
}

/** Below 256 bits a secret could be searched for. */
const SECRET_BYTES_MIN = 32;
const KEY_BYTES = 32;
const KEY_ID_BYTES = 6;
/** Also the protocol's name: a change of it makes all keys different. */
const SALT = "gyre/1";
const PURPOSES: readonly KeyPurpose[] = [
  "peer-request",
  "peer-response",
  "context",
  "cursor",
  "session",
  "row-digest",
];

/**
 * The keys of the cluster's secrets: the first secret signs, all verify, so that a secret is rotated by adding it last
 * everywhere, moving it to the front everywhere, and dropping the old one when nothing signed by it is alive any more
 * (design: section 10). Derived with HKDF-SHA-256 (RFC 5869), one key for each purpose.
 */
export class Keyring {
  readonly #rings = new Map<KeyPurpose, readonly NamedKey[]>();

  /** @throws Error when there is no secret, or one is too short or given twice. */
  constructor(crypto: Crypto, secrets: readonly Uint8Array[]) {
    if (secrets.length === 0) {
      throw new Error("Cannot make a keyring without a cluster secret; give a file of one or more");
    }
    const seen = new Set<string>();
    secrets.forEach((secret, index) => {
      if (secret.length < SECRET_BYTES_MIN) {
        throw new Error(
          `Cannot use cluster secret ${index + 1}, want ${SECRET_BYTES_MIN} random bytes or more: ${secret.length} bytes`,
        );
      }
      const text = byteString(secret);
      if (seen.has(text)) {
        throw new Error(`Cannot use cluster secret ${index + 1}: it is in the list twice`);
      }
      seen.add(text);
    });
    const salt = utf8Encode(SALT);
    const keyIds = secrets.map((secret) =>
      bytesToHex(crypto.hkdfSha256(secret, salt, `${SALT}/key-id`, KEY_ID_BYTES)),
    );
    for (const purpose of PURPOSES) {
      const info = `${SALT}/${purpose}`;
      this.#rings.set(
        purpose,
        secrets.map((secret, index) => ({
          keyId: keyIds[index] ?? "",
          key: crypto.hkdfSha256(secret, salt, info, KEY_BYTES),
        })),
      );
    }
  }

  /** The key that signs. */
  active(purpose: KeyPurpose): NamedKey {
    const key = this.#rings.get(purpose)?.[0];
    // The constructor refuses an empty list and derives every purpose.
    if (key === undefined) throw new Error(`Cannot find a key for ${purpose}`);
    return key;
  }

  /** The key of that id, for verifying; undefined when no secret of this ring has it. */
  find(purpose: KeyPurpose, keyId: string): NamedKey | undefined {
    return this.#rings.get(purpose)?.find((entry) => entry.keyId === keyId);
  }
}
