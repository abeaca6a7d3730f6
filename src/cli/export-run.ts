/** The engine of `gyre export`: pages of keys, their values in batches, written in key order. */
import type { GyreClient } from "../client/client.ts";
import type { BatchResult, ConflictName, ConsistencyName, ListedKey } from "../client/types.ts";
import { createBackoff, isTransient } from "./backoff.ts";
import type { BulkFormat } from "./bulk-item.ts";
import { formatItem } from "./bulk-write.ts";
import { CliError, EXIT } from "./errors.ts";
import type { Platform } from "./platform.ts";

const PAGE_KEYS = 1000;
const BATCH_KEYS = 200;
/** Values of one batch; the server's limit for an answer is 64 MiB, a third of it lost to base64. */
const BATCH_VALUE_BYTES = 8 * 1024 * 1024;
const BATCH_TIMEOUT_MS = 60_000;
/** Batches that are fetched ahead of the one that is written. */
const BATCHES_AHEAD = 3;

export interface ExportOptions {
  readonly client: GyreClient;
  readonly prefix: string | undefined;
  readonly format: BulkFormat;
  readonly conflict: ConflictName;
  readonly consistency: ConsistencyName | undefined;
  readonly retryBudgetMs: number;
  readonly write: (text: string) => Promise<void>;
  /** Called when all keys up to the cursor are written. */
  readonly onPage: (state: ExportPosition) => Promise<void>;
  readonly onProgress: (items: number) => void;
  readonly isStopped: () => boolean;
}

/** Where an export stands. */
export interface ExportPosition {
  /** Undefined at the beginning. */
  readonly cursor: string | undefined;
  readonly items: number;
}

/** Returns how many items are written, those before `from` included. @throws CliError when values cannot be read in time. */
export async function runExport(
  world: Pick<Platform, "clock" | "random">,
  from: ExportPosition,
  options: ExportOptions,
): Promise<ExportPosition & { readonly complete: boolean }> {
  let { cursor, items } = from;
  while (!options.isStopped()) {
    const page = await options.client.listPage({
      prefix: options.prefix,
      limit: PAGE_KEYS,
      cursor,
      conflict: options.conflict,
    });
    const fetching: Promise<Fetched>[] = [];
    const batches = cut(page.keys);
    for (let next = 0; next < batches.length || fetching.length > 0; ) {
      while (next < batches.length && fetching.length <= BATCHES_AHEAD) {
        const fetched = fetchBatch(world, options, batches[next++] ?? []);
        // Those behind a failed one are given up with it; their rejections are expected.
        fetched.catch(() => undefined);
        fetching.push(fetched);
      }
      const batch = await fetching.shift();
      let text = "";
      for (const [key, result] of batch ?? []) {
        text += formatItem(options.format, key, { value: "", ...result }, items === 0);
        items += 1;
      }
      await options.write(text);
      options.onProgress(items);
    }
    cursor = page.cursor;
    if (page.complete || cursor === undefined) return { cursor: undefined, items, complete: true };
    await options.onPage({ cursor, items });
  }
  return { cursor, items, complete: false };
}

type Fetched = readonly (readonly [ListedKey, BatchResult])[];

function cut(keys: readonly ListedKey[]): ListedKey[][] {
  const batches: ListedKey[][] = [];
  let batch: ListedKey[] = [];
  let bytes = 0;
  for (const key of keys) {
    if (batch.length >= BATCH_KEYS || (batch.length > 0 && bytes + key.size > BATCH_VALUE_BYTES)) {
      batches.push(batch);
      batch = [];
      bytes = 0;
    }
    batch.push(key);
    bytes += key.size;
  }
  if (batch.length > 0) batches.push(batch);
  return batches;
}

/** Keys that were deleted or expired since they were listed are left out. */
async function fetchBatch(
  world: Pick<Platform, "clock" | "random">,
  options: ExportOptions,
  keys: readonly ListedKey[],
): Promise<Fetched> {
  const results = new Map<ListedKey, BatchResult>();
  const backoff = createBackoff(world, options.retryBudgetMs);
  let open = keys;
  for (;;) {
    const answers = await options.client.batch(
      open.map(({ name }) => ({ op: "get", key: name }) as const),
      { conflict: options.conflict, consistency: options.consistency, timeoutMs: BATCH_TIMEOUT_MS },
    );
    const again: ListedKey[] = [];
    for (const [index, key] of open.entries()) {
      const answer = answers[index];
      if (answer === undefined || isTransient(answer.status)) again.push(key);
      // The whole answer was too large: the next one holds fewer.
      else if (answer.status === 413 && open.length > 1) again.push(key);
      else if (answer.status !== 404) results.set(key, checked(key, answer));
    }
    if (again.length === 0) break;
    open = again;
    if (!(await backoff.pause()))
      throw notRead(
        again,
        answers.find((answer) => answer.status >= 500),
      );
  }
  return keys.flatMap((key) => {
    const result = results.get(key);
    return result === undefined ? [] : [[key, result] as const];
  });
}

function checked(key: ListedKey, answer: BatchResult): BatchResult {
  if (answer.status === 200) return answer;
  const reason = String(answer.error?.["detail"] ?? `status ${answer.status}`);
  throw new CliError(`Cannot export ${JSON.stringify(key.name)}: ${reason}`);
}

function notRead(keys: readonly ListedKey[], answer: BatchResult | undefined): CliError {
  const reason = String(answer?.error?.["detail"] ?? "no answer");
  return new CliError(
    `Cannot read ${keys.length} keys, such as ${JSON.stringify(keys[0]?.name)}: ${reason}`,
    {
      exitCode: EXIT.notReached,
    },
  );
}
