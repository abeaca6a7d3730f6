import type { Mutation } from "./mutation.ts";
import { ANSWER_MUTATIONS } from "./mutations-answers.ts";
import { REPAIR_MUTATIONS } from "./mutations-repair.ts";

export const MUTATIONS: readonly Mutation[] = [
  {
    name: "no epochs: always the row's own counter + 1",
    file: "src/core/mint.ts",
    find: "const { actorId, minted, firstEpoch, localContext, incomingContext } = args;\n  if (",
    replace:
      "const { actorId, minted, firstEpoch, localContext, incomingContext } = args;\n  const own = highestOf(localContext, actorId);\n  if (own !== undefined) return { actor: actorId, epoch: own?.epoch ?? 1, counter: (own?.counter ?? 0) + 1 };\n  if (",
  },
  {
    name: "epochs are not leased ahead durably",
    file: "src/storage/epoch-lease.ts",
    find: "this.#disk.setMeta(EPOCH_LEASE_META, encode(end));",
    replace: "",
  },
  {
    name: "merge forgets dots: keeps by context alone",
    file: "src/core/record.ts",
    find: "return left.value === null && right.value !== null ? right : left;",
    replace: "return covers(b.context, left.dot) ? undefined : left;",
  },
  {
    name: "merge keeps what the other side has replaced",
    file: "src/core/record.ts",
    find: "if (right === undefined) return covers(b.context, left.dot) ? undefined : left;",
    replace: "if (right === undefined) return left;",
  },
  {
    name: "merge is last-writer-wins",
    file: "src/core/record.ts",
    find: "if (a === b) return a;\n  const context = mergeContexts",
    replace:
      "if (a === b) return a;\n  if (a.siblings.length > 0 && b.siblings.length > 0) return newestStamp(a) >= newestStamp(b) ? a : b;\n  const context = mergeContexts",
  },
  {
    name: "a put with a context replaces all siblings (plain version vector)",
    file: "src/core/record.ts",
    find: "if (covers(context, old.dot)) continue;",
    replace: "if (covers(held.context, old.dot)) continue;",
  },
  {
    name: "a blind put forgets the row's context",
    file: "src/core/record.ts",
    find: "return { context: withDot(held.context, sibling.dot), siblings: [sibling] };",
    replace: "return { context: withDot([], sibling.dot), siblings: [sibling] };",
  },
  {
    name: "fan-out and answer before the commit",
    file: "src/replication/put-path.ts",
    find: "if (!this.#r.store.isDurable(written.sequence)) {",
    replace: "if (written.sequence < 0) {",
  },
  {
    name: "fan-out before the commit, the answer after it",
    file: "src/replication/put-path.ts",
    find: 'const written = this.#write(seen, plan, standsFor);\n    if (written.status !== "written") return written;',
    replace:
      'const written = this.#write(seen, plan, standsFor);\n    if (written.status !== "written") return written;\n    const early = this.#spread(request, plan, written, standsFor, deadlineMs);\n    early.catch(() => undefined);\n    await this.#r.store.whenDurable(written.sequence);\n    if (early !== undefined) return early;',
  },
  {
    name: "reads before the commit",
    file: "src/replication/local-read.ts",
    find: "const answer: ReadAnswer = { record, counts: sure };\n  if (r.store.isDurable(sequence)) return answer;",
    replace:
      "const answer: ReadAnswer = { record, counts: sure };\n  if (sequence >= 0) return answer;",
  },
  {
    name: "a replica acknowledges before its commit",
    file: "src/replication/peer-service.ts",
    find: "const { sequence } = this.#r.replica.merge(message.key, message.record, message.head);",
    replace:
      "const { sequence } = this.#r.replica.merge(message.key, message.record, message.head);\n      if (sequence >= 0) return encodeAck(this.#r.actors.generationsOf(homes));",
  },
  {
    name: "one answer is enough for a read",
    file: "src/replication/read-round.ts",
    find: "this.#tally = new Tally(requirement);",
    replace:
      "this.#tally = new Tally({ ...requirement, groups: requirement.groups.map((group) => ({ ...group, needed: 1 })) });",
  },
  {
    name: "a read that failed at a home counts",
    file: "src/replication/read-round.ts",
    find: "#failed(node: NodeId, error: unknown): void {\n    this.#open--;\n    if (this.#isCounted(node)) this.#tally.fail(node);",
    replace:
      "#failed(node: NodeId, error: unknown): void {\n    this.#open--;\n    if (this.#isCounted(node)) this.#tally.ack(node);",
  },
  {
    name: "a write that failed at a home counts",
    file: "src/replication/fan-out.ts",
    find: "#failed(home: NodeId, error: unknown): void {\n",
    replace: "#failed(home: NodeId, error: unknown): void {\n    this.#tally.ack(home);\n",
  },
  {
    name: "a majority is half",
    file: "src/core/consistency.ts",
    find: "return Math.floor(n / 2) + 1;",
    replace: "return Math.max(1, Math.floor(n / 2));",
  },
  {
    name: "a read shows the first answer, not the merge of all",
    file: "src/replication/read-round.ts",
    find: "merged = merged === null ? answer.record : mergeRecords(merged, answer.record);",
    replace:
      "merged = merged === null ? answer.record : (mergeRecords(merged, answer.record), merged);",
  },
  {
    name: "every put's answer carries a context",
    file: "src/replication/put-path.ts",
    find: "const alone = record.siblings.length === 1;",
    replace: "const alone = record.siblings.length >= 1;",
  },
  {
    name: "no doubt: a lost database answers absent, and counts",
    file: "src/replication/doubt.ts",
    find: "if (parts.forgotten) parts.meta.set(IN_DOUBT_META, new Uint8Array([1]));",
    replace: "",
  },
  {
    name: "doubt ends after the first other owner",
    file: "src/replication/doubt.ts",
    find: "return Math.min(owners - 1, owners - majorityOf(owners) + 1);",
    replace: "return Math.min(owners - 1, owners - majorityOf(owners));",
  },
  {
    name: "an unreadable row answers absent, and counts",
    file: "src/storage/row-reader.ts",
    find: "return UNKNOWN;",
    replace: "return ABSENT;",
  },
  {
    name: "a row written over an unreadable one counts at once",
    file: "src/replication/local-read.ts",
    find: "&& !r.doubt.ofRow(key) &&",
    replace: "&&",
  },
  {
    name: "checksums are not verified",
    file: "src/storage/checksum.ts",
    find: "return equalBytes(this.sum(row), row.headSum);",
    replace: "return equalBytes(row.headSum, row.headSum);",
  },
  {
    name: "the cache keeps what a full disk rolled back",
    file: "src/storage/store.ts",
    find: "for (const id of ids) this.#cache.delete(id);",
    replace: "",
  },
  {
    name: "a replica overwrites instead of merging",
    file: "src/replication/replica.ts",
    find: "const merged = mergeRecords(local, incoming);",
    replace: "const merged = mergeRecords(local, incoming) === local ? local : incoming;",
  },
  {
    name: "a forward that timed out is tried at another home",
    file: "src/replication/forward.ts",
    find: 'if (error.outcome === "timeout") return notReached(homes.length, true);',
    replace: "",
  },
  {
    name: "a write without its quorum is called certain",
    file: "src/replication/put-path.ts",
    find: "indeterminate: true,",
    replace: "indeterminate: false,",
  },
  {
    name: "a list asks one owner of each unit",
    file: "src/replication/gather-scans.ts",
    find: "missing += Math.max(0, Math.floor(homes.length / 2) + 1 - answering);",
    replace: "missing += Math.max(0, 1 - answering);",
  },
  ...REPAIR_MUTATIONS,
  ...ANSWER_MUTATIONS,
];
