/** What a node answers from its cache is what its disk holds: each home is asked for its own copy, twice, and compared. */
import { equalContexts } from "../../../src/core/context.ts";
import { decodeRecord } from "../../../src/core/record-codec.ts";
import type { Workload } from "../workload/workload.ts";
import type { World } from "../world.ts";

export async function judgeCaches(world: World, workload: Workload): Promise<void> {
  let open = 0;
  for (const key of world.ledger.keys.values()) {
    for (const home of key.homes) {
      open++;
      // A home is its own nearest replica: one answer is its own.
      const terms = { query: "r=1&conflict=siblings&sloppy=false", needed: 1, strict: true };
      workload.read({
        key,
        node: home,
        terms,
        onAnswer: (answer) => {
          open--;
          const row = world.node(home).rowOf(key);
          const record = row === undefined ? null : decodeRecord(row.head, row.body);
          const same =
            record === null
              ? answer?.context === null
              : answer !== null &&
                answer.context !== null &&
                equalContexts(answer.context, record.context) &&
                // One that was executed twice is shown once.
                answer.live + answer.deleted <= record.siblings.length &&
                answer.live + answer.deleted >=
                  new Set(record.siblings.map((one) => world.ledger.opOf(one))).size;
          if (!same) {
            world.violate(
              "cache-equals-rows",
              `node ${home} answers ${key.name} as its disk does not`,
            );
          }
        },
      });
    }
  }
  await world.clock.runUntil(() => open === 0, 20_000, "each home answers for itself");
}
