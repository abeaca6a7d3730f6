/** Namespace settings on every node: stored durably, sent to all at once, and compared by gossip for whoever missed it. */
import { decode, encode } from "@msgpack/msgpack";
import { equalBytes, utf8Encode } from "../core/bytes.ts";
import type { NamespaceId, NodeId } from "../core/ids.ts";
import { VALUE_BYTES_MAX } from "../core/limits.ts";
import type { Env } from "../env/env.ts";
import type { MetaStore } from "../env/meta-store.ts";
import { sleep } from "../env/worker.ts";
import { SETTINGS_DIGEST_BYTES, SETTINGS_ROWS_MAX, SETTINGS_TIMEOUT_MS } from "./cluster-limits.ts";
import type { LayoutStore } from "./layout-store.ts";
import {
  DEFAULT_NAMESPACE_SETTINGS_WITHOUT_LIMITS,
  type NamespaceSettings,
  type NamespaceSettingsStore,
} from "./namespace-settings.ts";
import { type PeerChannel, PeerError, type WireFields, type WireValue } from "./peer-channel.ts";
import { decodeRow, encodeRow, isLater, type SettingsRow } from "./settings-row.ts";
import { readArray, readInt } from "./wire-read.ts";

const PREFIX = "settings/";
const RETRY_MS = 250;
const DEFAULTS: NamespaceSettings = {
  ...DEFAULT_NAMESPACE_SETTINGS_WITHOUT_LIMITS,
  valueBytesMax: VALUE_BYTES_MAX,
};

export interface SettingsParts {
  readonly env: Env;
  readonly meta: MetaStore;
  readonly channel: PeerChannel;
  readonly self: NodeId;
  readonly layouts: LayoutStore;
}

export class SettingsStore implements NamespaceSettingsStore {
  readonly #parts: SettingsParts;
  readonly #rows = new Map<NamespaceId, SettingsRow>();
  #digest: Uint8Array | undefined;

  constructor(parts: SettingsParts) {
    this.#parts = parts;
    for (const name of parts.meta.names(PREFIX)) {
      const bytes = parts.meta.get(name);
      if (bytes !== undefined) this.#load(name, bytes);
    }
  }

  /** A row that cannot be read is as good as none: the other nodes have it, and a node that did not start has nothing. */
  #load(name: string, bytes: Uint8Array): void {
    try {
      const row = decodeRow(decode(bytes) as WireValue);
      this.#rows.set(row.namespace, row);
    } catch (error) {
      this.#parts.env.logger.error("settings-row-unreadable", { name, error: String(error) });
    }
  }

  get(namespace: NamespaceId): NamespaceSettings {
    return this.#rows.get(namespace)?.settings ?? DEFAULTS;
  }

  async set(
    namespace: NamespaceId,
    settings: NamespaceSettings,
  ): Promise<"stored" | "unavailable"> {
    const { env, self, layouts } = this.#parts;
    const current = layouts.current();
    if (current?.active.namespaceById(namespace) === undefined) return "unavailable";
    const before = this.#rows.get(namespace)?.stamp ?? 0;
    const stamp = Math.max(before + 1, Math.floor(env.clock.wallMs() * 1000));
    const row: SettingsRow = { namespace, stamp, node: self, settings };
    this.#store(row);
    return this.#spread(row, env.clock.monotonicMs() + SETTINGS_TIMEOUT_MS);
  }

  /** The same on two nodes iff they hold the same rows. 16 bytes. */
  digest(): Uint8Array {
    this.#digest ??= this.#parts.env.crypto
      .sha256(
        utf8Encode(
          this.#sorted()
            .map((r) => `${r.namespace} ${r.stamp} ${r.node}\n`)
            .join(""),
        ),
      )
      .slice(0, SETTINGS_DIGEST_BYTES);
    return this.#digest;
  }

  /**
   * Answers `settings`: [rows, part, parts] -> [rows]. Stores what is newer; returns those of its own, in the same part
   * of the id range, that are newer or were not sent. `parts` of 0 asks for nothing back. @throws BadMessageError
   */
  answer(fields: WireFields): WireFields {
    const rows = readArray(fields, 0, "settings.rows", SETTINGS_ROWS_MAX).map(decodeRow);
    const part = readInt(fields, 1, "settings.part", 0, 0xffff);
    const parts = readInt(fields, 2, "settings.parts", 0, 0xffff);
    for (const row of rows) this.#take(row);
    if (parts === 0) return [[]];
    const sent = new Map(rows.map((row) => [row.namespace, row]));
    const newer = this.#inPart(part, parts).filter((row) => {
      const theirs = sent.get(row.namespace);
      return theirs === undefined || isLater(row, theirs);
    });
    return [newer.slice(0, SETTINGS_ROWS_MAX).map(encodeRow)];
  }

  /** A peer's digest differs: both take what the other has newer. @throws PeerError */
  async reconcile(node: NodeId, theirs: Uint8Array): Promise<void> {
    if (equalBytes(this.digest(), theirs)) return;
    const parts = 1 + Math.floor((2 * this.#rows.size) / SETTINGS_ROWS_MAX);
    for (let part = 0; part < parts; part++) {
      const rows = this.#inPart(part, parts).slice(0, SETTINGS_ROWS_MAX).map(encodeRow);
      const answer = await this.#send(node, [rows, part, parts]);
      const newer = readArray(answer, 0, "settings.rows", SETTINGS_ROWS_MAX).map(decodeRow);
      for (const row of newer) this.#take(row);
    }
  }

  /** Rows of namespaces that are gone; ids are never given again. */
  forgetDeleted(): void {
    const document = this.#parts.layouts.known()?.document;
    if (document === undefined) return;
    const present = new Set(document.namespaces.map((entry) => entry.id));
    for (const namespace of [...this.#rows.keys()]) {
      if (present.has(namespace) || namespace >= document.nextNamespaceId) continue;
      this.#parts.meta.delete(PREFIX + namespace);
      this.#rows.delete(namespace);
      this.#digest = undefined;
    }
  }

  async #spread(row: SettingsRow, deadlineMs: number): Promise<"stored" | "unavailable"> {
    const { env, layouts, self } = this.#parts;
    const members = layouts.current()?.document.members ?? [];
    const storage = members.filter((member) => member.role === "storage");
    const needed = Math.floor(storage.length / 2) + 1;
    return new Promise((resolve) => {
      let stored = storage.some((member) => member.id === self) ? 1 : 0;
      let running = 0;
      const ended = (): void => {
        if (stored >= needed) resolve("stored");
        else if (running === 0) resolve("unavailable");
      };
      for (const member of members) {
        if (member.id === self) continue;
        running++;
        void this.#deliver(member.id, row, deadlineMs).then((done) => {
          running--;
          if (done && member.role === "storage") stored++;
          ended();
        });
      }
      ended();
      // A peer that never answers must not hold the caller longer than the others.
      env.clock.after(Math.max(0, deadlineMs - env.clock.monotonicMs()), () => {
        resolve("unavailable");
      });
    });
  }

  async #deliver(node: NodeId, row: SettingsRow, deadlineMs: number): Promise<boolean> {
    const { env } = this.#parts;
    for (;;) {
      try {
        await this.#send(node, [[encodeRow(row)], 0, 0]);
        return true;
      } catch (error) {
        env.logger.debug("settings-not-delivered", { node, error: String(error) });
      }
      if (env.clock.monotonicMs() + RETRY_MS >= deadlineMs) return false;
      await sleep(env.clock, RETRY_MS);
    }
  }

  #send(node: NodeId, fields: WireFields): Promise<WireFields> {
    return this.#parts.channel.send(node, "settings", fields, {
      timeoutMs: SETTINGS_TIMEOUT_MS / 2,
      lane: "batch",
    });
  }

  /** @throws PeerError refused `behind` when this node does not know the namespace yet. */
  #take(row: SettingsRow): void {
    const known = this.#rows.get(row.namespace);
    if (known !== undefined && !isLater(row, known)) return;
    const document = this.#parts.layouts.known()?.document;
    if (document === undefined || row.namespace >= document.nextNamespaceId) {
      throw new PeerError("refused", "behind", "The namespace is not known here yet");
    }
    // Deleted meanwhile: there is nothing that it could be the setting of.
    if (!document.namespaces.some((entry) => entry.id === row.namespace)) return;
    this.#store(row);
  }

  #store(row: SettingsRow): void {
    this.#parts.meta.set(PREFIX + row.namespace, encode(encodeRow(row)));
    this.#rows.set(row.namespace, row);
    this.#digest = undefined;
  }

  #inPart(part: number, parts: number): SettingsRow[] {
    return this.#sorted().filter((row) => row.namespace % parts === part);
  }

  #sorted(): SettingsRow[] {
    return [...this.#rows.values()].sort((a, b) => a.namespace - b.namespace);
  }
}
