/**
 * Conversations between replicas, played with the real algebra and compared with their transcripts, in the manner of
 * etcd's data-driven tests. versions.txt begins with Figure 3 of DeCandia et al. 2007, the diagram of this project's
 * mission. A block is commands, a line of dashes, and what they print.
 */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { resolve } from "../../src/core/conflict.ts";
import { decideDot, type MintedDot, mintedAfterReplication } from "../../src/core/mint.ts";
import { EMPTY_RECORD, mergeRecords, putSibling } from "../../src/core/record.ts";
import type { CausalRecord, Context, Dot } from "../../src/core/version.ts";
import { actorOf, siblingOf, tombstoneOf } from "../support/arbitraries.ts";
import { expectGolden } from "../support/golden.ts";

const ACTORS: Readonly<Record<string, number>> = { Sa: 1, Sb: 2, Sc: 3, Sx: 1, Sy: 2, Sz: 3 };

interface Row {
  record: CausalRecord;
  minted: MintedDot | null;
  epoch: number;
}

class Conversation {
  readonly #rows = new Map<string, Row>();
  /** What each named value's writer or reader had seen when it was shown to them. */
  readonly #seen = new Map<string, Context>();
  readonly #names = new Map<string, string>();
  readonly #servers = new Map<number, string>();
  readonly #saved = new Map<string, Row>();
  #tick = 0;

  /** `put D2 at Sa`, `put D3 at Sa after D2`, `delete X at Sb after D2 D3`, `send Sa to Sb`, `forget Sa`, `save Sa`, `restore Sa`, `read Sa Sb`. */
  run(line: string): string {
    const [verb = "", ...words] = line.split(" ");
    const act: Record<string, () => string> = {
      put: () => this.#write(words, false),
      delete: () => this.#write(words, true),
      send: () => this.#send(words[0] ?? "", words[2] ?? ""),
      forget: () => this.#forget(words[0] ?? ""),
      save: () => this.#save(words[0] ?? ""),
      restore: () => this.#restore(words[0] ?? ""),
      read: () => this.#read(words),
    };
    return act[verb]?.() ?? `unknown command: ${line}`;
  }

  #row(server: string): Row {
    const row = this.#rows.get(server) ?? { record: EMPTY_RECORD, minted: null, epoch: 0 };
    this.#rows.set(server, row);
    this.#servers.set(ACTORS[server] ?? 0, server);
    return row;
  }

  #write([name = "", , server = "", ...after]: string[], deleted: boolean): string {
    const row = this.#row(server);
    // Contexts of several values are merged as a client does that has read them together.
    const context = after.slice(1).reduce<Context | null>((merged, seen) => {
      const one = this.#seen.get(seen) ?? [];
      return merged === null
        ? one
        : mergeRecords({ context: merged, siblings: [] }, { context: one, siblings: [] }).context;
    }, null);
    const actorId = actorOf(ACTORS[server] ?? 0);
    const dot = decideDot({
      actorId,
      minted: row.minted,
      firstEpoch: 0,
      localContext: row.record.context,
      incomingContext: context ?? [],
      takeEpoch: () => ++row.epoch,
    });
    const sibling = (deleted ? tombstoneOf : siblingOf)(dot, { stamp: ++this.#tick });
    row.record = putSibling(row.record, context, sibling);
    row.minted = dot;
    this.#names.set(JSON.stringify(dot), name);
    // Only a record with this one sibling may hand its context to the writer (design: section 4).
    if (row.record.siblings.length === 1) this.#seen.set(name, row.record.context);
    return `${server}: ${this.#show(row.record)}`;
  }

  #send(from: string, to: string): string {
    const { record } = this.#row(from);
    const row = this.#row(to);
    row.minted = mintedAfterReplication({
      actorId: actorOf(ACTORS[to] ?? 0),
      minted: row.minted,
      incomingContext: record.context,
    });
    row.record = mergeRecords(row.record, record);
    return `${to}: ${this.#show(row.record)}`;
  }

  #forget(server: string): string {
    const row = this.#row(server);
    row.record = EMPTY_RECORD;
    row.minted = null;
    return `${server}: ${this.#show(row.record)}`;
  }

  #save(server: string): string {
    this.#saved.set(server, { ...this.#row(server) });
    return `${server}: saved`;
  }

  /** The row as it was; epochs are leased elsewhere and do not come back. */
  #restore(server: string): string {
    const row = this.#row(server);
    const saved = this.#saved.get(server) ?? row;
    row.record = saved.record;
    row.minted = saved.minted;
    return `${server}: ${this.#show(row.record)}`;
  }

  /** A read of these servers by a client that then has seen all their siblings. */
  #read(servers: string[]): string {
    const answers = servers.map((server) => this.#row(server).record);
    const record = answers.reduce(mergeRecords, EMPTY_RECORD);
    for (const { dot } of record.siblings) this.#seen.set(this.#nameOf(dot), record.context);
    const chosen = (["majority", "latest", "siblings"] as const).map((policy) => {
      const resolution = resolve({ record, answers, homes: answers.length, policy, nowMs: 0 });
      return `${policy}=${resolution.chosen.map(({ dot }) => this.#nameOf(dot)).join("+") || "none"}`;
    });
    return `read: ${this.#show(record)} ${chosen.join(" ")}`;
  }

  #nameOf(dot: Dot): string {
    return this.#names.get(JSON.stringify(dot)) ?? "?";
  }

  /** `D4@[Sb,1] D5@[Sc,1] seen [Sa,2][Sb,1][Sc,1]`; an epoch is shown when it is not the first. */
  #show(record: CausalRecord): string {
    const siblings = record.siblings.map(
      ({ dot, deleted }) =>
        `${this.#nameOf(dot)}${deleted ? "(deleted)" : ""}@${this.#showDot(dot)}`,
    );
    const seen = record.context.map((entry) => this.#showDot(entry)).join("");
    return `${siblings.join(" ") || "nothing"} seen ${seen || "[]"}`;
  }

  #showDot({ actor, epoch, counter }: Dot): string {
    const server = this.#servers.get(actor.charCodeAt(0)) ?? "?";
    return `[${epoch === 1 ? server : `${server}.${epoch}`},${counter}]`;
  }
}

test("conversations between replicas go as their transcripts say", () => {
  const file = readFileSync(new URL("../golden/versions.txt", import.meta.url), "utf8");
  const blocks = file.trimEnd().split("\n\n");
  const played = blocks.map((block) => {
    const lines = block.split("\n");
    const title = lines.filter((line) => line.startsWith("#"));
    const dashes = lines.indexOf("----");
    const commands = lines
      .slice(0, dashes === -1 ? undefined : dashes)
      .filter((line) => !line.startsWith("#"));
    const conversation = new Conversation();
    const printed = commands.map((command) => conversation.run(command));
    return [...title, ...commands, "----", ...printed].join("\n");
  });
  expect(played.length).toBeGreaterThan(5);
  expectGolden("versions.txt", `${played.join("\n\n")}\n`);
});
