/** Bugs to plant in what repairs, stands in, remembers and forgets. */
import type { Mutation } from "./mutation.ts";

export const REPAIR_MUTATIONS: readonly Mutation[] = [
  {
    name: "a conditional put asks one home",
    file: "src/replication/precondition.ts",
    find: 'if ("count" in asked) return { count: Math.max(asked.count, Math.floor(owners / 2) + 1) };',
    replace: 'if (owners > 0) return { level: "one" };',
  },
  {
    name: "a list takes an unreadable row for absent",
    file: "src/replication/scan-local.ts",
    find: "rows.push(...read);",
    replace: "rows.push(...read.filter((row) => row.head !== null));",
  },
  {
    name: "an Idempotency-Key is ignored",
    file: "src/replication/replica.ts",
    find: 'if (put.idempotencyKey !== "" && local !== null) {',
    replace: 'if (put.idempotencyKey === "-" && local !== null) {',
  },
  {
    name: "counters of an earlier start are gone on with",
    file: "src/core/mint.ts",
    find: "minted.epoch >= firstEpoch &&",
    replace: "minted.epoch >= 0 &&",
  },
  {
    name: "a database that hears that it is a copy goes on",
    file: "src/replication/copy-check.ts",
    find: "if (isCopy.includes(true)) this.#giveUp();",
    replace: "if (isCopy.length > 16) this.#giveUp();",
  },
  {
    name: "doubt does not survive a restart",
    file: "src/replication/doubt.ts",
    find: "this.#everywhere = parts.meta.get(IN_DOUBT_META) !== undefined;",
    replace: "this.#everywhere = parts.forgotten;",
  },
  {
    name: "a strict put counts stand-ins",
    file: "src/replication/fan-out.ts",
    find: "if (!this.#plan.sloppy || !this.#goesOn()) return;",
    replace: "if (!this.#goesOn()) return;",
  },
  {
    name: "that a stand-in has nothing counts",
    file: "src/replication/local-read.ts",
    find: "const answer: ReadAnswer = { record, counts: record !== null };",
    replace: "const answer: ReadAnswer = { record, counts: true };",
  },
  {
    name: "a stand-in acknowledges before its commit",
    file: "src/replication/peer-service.ts",
    find: "if (sequence === null) throw hintsFull();",
    replace:
      "if (sequence === null) throw hintsFull();\n      if (sequence > 0) return encodeAck(this.#r.actors.generationsOf(route.homes));",
  },
  {
    name: "custody of a hint ends with the first owner that has it",
    file: "src/replication/handoff-row.ts",
    find: "custodyEnded: round.holders.size >= needed,",
    replace: "custodyEnded: round.holders.size >= 1,",
  },
  {
    name: "a hint is dropped when it is sent, not when it is acknowledged",
    file: "src/replication/handoff-row.ts",
    find: "if (answer !== null) this.#holds(owner, answer);",
    replace: "this.#holds(owner, answer ?? []);",
  },
  {
    name: "a hint over age is dropped, whoever has it",
    file: "src/replication/handoff.ts",
    find: "if (!delivery.custodyEnded) continue;",
    replace: "if (!delivery.custodyEnded && !this.#isToGo(hint)) continue;",
  },
  {
    name: "nobody hands hints over",
    file: "src/replication/handoff.ts",
    find: "if (due === null) return this.isResting ? REST_MS : IDLE_MS;",
    replace: "if (due === null || beganMs >= 0) return IDLE_MS;",
  },
  {
    name: "a session's minimum is ignored",
    file: "src/replication/read-round.ts",
    find: "if (this.#minimum === null) return true;\n    const nowMs",
    replace: "if (this.#minimum !== undefined) return true;\n    const nowMs",
  },
  {
    name: "a session forgets what it had read when it writes",
    file: "src/core/session.ts",
    find: "if (!isOfKey || !descends(dots, entry.dots)) others.push(entry);",
    replace: "if (!isOfKey) others.push(entry);",
  },
  {
    name: "a session remembers nothing of what it reads",
    file: "src/core/session.ts",
    find: "if (record === null || record.siblings.length === 0) return session;",
    replace: "if (record !== undefined) return session;",
  },
  {
    name: "a tree misses the rows that replace others",
    file: "src/storage/trees.ts",
    find: "if (isBuilt) replace(",
    replace: "if (isBuilt && before === null) replace(",
  },
  {
    name: "anti-entropy passes over the last of the groups",
    file: "src/replication/anti-entropy-round.ts",
    find: "if (mask !== 0) groups.set(partition, bitsOf(mask));",
    replace: "if (mask !== 0) groups.set(partition, bitsOf(mask).slice(0, -1));",
  },
  {
    name: "anti-entropy compares and exchanges nothing",
    file: "src/replication/anti-entropy-round.ts",
    find: "if (ranges.length === 0) return;",
    replace: "if (ranges.length >= 0) return;",
  },
  {
    name: "reaping does not wait for quiet",
    file: "src/replication/quiet-watch.ts",
    find: "return sequence <= this.#rows.quietUpTo(this.#clock.monotonicMs());",
    replace: "return sequence >= 0;",
  },
  {
    name: "reaping asks nobody else",
    file: "src/replication/reaper.ts",
    find: "const members = membersOf(layout, r.self);\n    const answers",
    replace: "const members: NodeId[] = [];\n    const answers",
  },
  {
    name: "reaping is content with an owner's other row",
    file: "src/replication/reap-judge.ts",
    find: 'if (digest === null || !equalBytes(digest, item.digest)) return "different";',
    replace: 'if (digest === null) return "different";',
  },
  {
    name: "a hint does not keep its key from being reaped",
    file: "src/replication/reap-judge.ts",
    find: 'if (found.state === "unknown" || mayReturn(found.record, item.stamp)) return "aside";',
    replace: "",
  },
  {
    name: "late messages are taken",
    file: "src/cluster/peer-server.ts",
    find: "if (agePercent > MESSAGE_AGE_PERCENT || agePercent < -CLOCK_GAP_PERCENT) {",
    replace: "if (agePercent === Number.POSITIVE_INFINITY) {",
  },
  {
    name: "an ack of a database that is gone counts",
    file: "src/replication/fan-out.ts",
    find: "this.#tally.withdraw(gone);",
    replace: "",
  },
  {
    name: "a live value is reaped like a dead one",
    file: "src/core/reap.ts",
    find: "(sibling) => endedMs(sibling) + graceMs < nowMs && !isLive(sibling, nowMs),",
    replace: "(sibling) => sibling.stamp / STAMPS_PER_MS + graceMs < nowMs,",
  },
  {
    name: "a batch says 204 whatever became of a put",
    file: "src/http/batch-routes.ts",
    find: 'if (done.status !== "ok") throw problemOfFailure(done, view.entry.name);',
    replace: 'if (done.status !== "ok") return { status: 204 };',
  },
  {
    name: "restored rows are merged without asking anybody",
    file: "src/replication/restored.ts",
    find: "this.#settle(route.homes, row, answers)",
    replace: "this.#settle(route.homes, row, answers.slice(answers.length))",
  },
];
