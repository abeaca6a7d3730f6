/** The engine of `gyre import`: items in, acknowledged batches out, with bounded memory and bounded concurrency. */
import type { GyreClient } from "../client/client.ts";
import { GyreConnectionError, GyreError } from "../client/errors.ts";
import type { BatchOperation, BatchOptions, BatchResult } from "../client/types.ts";
import { createBackoff, isTransient } from "./backoff.ts";
import type { BulkItem, ItemFault, ParsedItem } from "./bulk-item.ts";
import type { ImportJournal } from "./import-journal.ts";
import type { Platform } from "./platform.ts";

/** Base64 in flight: a batch holds so much, or one item that is larger. */
const BATCH_CHARS_MAX = 4 * 1024 * 1024;
const BATCH_TIMEOUT_MS = 60_000;

export interface ImportOptions {
  readonly client: GyreClient;
  readonly journal: ImportJournal;
  readonly batchOptions: BatchOptions;
  readonly batchItems: number;
  readonly concurrency: number;
  /** How long an item is tried again after it could not be stored for a reason that may pass, in ms. */
  readonly retryBudgetMs: number;
  readonly onFault: (fault: ItemFault) => void;
  readonly onProgress: (counts: ImportCounts) => void;
  /** True when no new batch shall begin. */
  readonly isStopped: () => boolean;
}

export interface ImportCounts {
  /** Acknowledged by this import. */
  imported: number;
  /** Acknowledged by an earlier import, as the journal says. */
  resumed: number;
  /** Their time was over before they could be stored. */
  expired: number;
  /** Malformed, refused, or not acknowledged in time. */
  failed: number;
}

type World = Pick<Platform, "clock" | "random">;

/** @throws GyreError when the server refuses batches as such (no such namespace), after which nothing can succeed. */
export async function runImport(
  world: World,
  items: AsyncIterable<ParsedItem>,
  options: ImportOptions,
): Promise<ImportCounts> {
  return await new ImportRun(world, options).run(items);
}

class ImportRun {
  readonly #world: World;
  readonly #options: ImportOptions;
  readonly #counts: ImportCounts = { imported: 0, resumed: 0, expired: 0, failed: 0 };
  readonly #inFlight = new Set<Promise<void>>();
  readonly #keysInFlight = new Set<string>();
  /** Failed items by key: a later item of the same key that is stored makes them void. */
  readonly #failedByKey = new Map<string, BulkItem>();
  #error: unknown;
  #batch: BulkItem[] = [];
  #batchChars = 0;

  constructor(world: World, options: ImportOptions) {
    this.#world = world;
    this.#options = options;
  }

  async run(items: AsyncIterable<ParsedItem>): Promise<ImportCounts> {
    try {
      for await (const parsed of items) {
        if (this.#options.isStopped() || this.#error !== undefined) break;
        if (parsed.status === "fault") this.#fail(parsed.fault);
        else await this.#take(parsed.item);
      }
      if (!this.#options.isStopped()) await this.#flush();
    } finally {
      await Promise.all(this.#inFlight);
    }
    if (this.#error !== undefined) throw this.#error;
    return this.#counts;
  }

  async #take(item: BulkItem): Promise<void> {
    if (this.#options.journal.covers(item.raw)) {
      this.#counts.resumed += 1;
      this.#options.onProgress(this.#counts);
      return;
    }
    if (item.expires !== undefined && item.expires * 1000 <= this.#world.clock.wallMs()) {
      this.#counts.expired += 1;
      return;
    }
    // Of two items with one key the later one must win: it waits until the earlier one is settled.
    if (this.#keysInFlight.has(item.key)) {
      await this.#flush();
      await Promise.all(this.#inFlight);
    }
    const isFull =
      this.#batch.length >= this.#options.batchItems ||
      this.#batchChars + item.value.length > BATCH_CHARS_MAX;
    if (isFull) await this.#flush();
    this.#batch.push(item);
    this.#batchChars += item.value.length;
    this.#keysInFlight.add(item.key);
  }

  /** Sends what has been gathered, as soon as fewer batches than allowed are under way. */
  async #flush(): Promise<void> {
    if (this.#batch.length === 0) return;
    while (this.#inFlight.size >= this.#options.concurrency) await Promise.race(this.#inFlight);
    const batch = this.#batch;
    this.#batch = [];
    this.#batchChars = 0;
    const sending = this.#send(batch)
      .catch((error: unknown) => {
        this.#error ??= error;
      })
      .finally(() => {
        this.#inFlight.delete(sending);
      });
    this.#inFlight.add(sending);
  }

  async #send(batch: readonly BulkItem[]): Promise<void> {
    const acknowledged: BulkItem[] = [];
    let open = batch;
    try {
      const backoff = createBackoff(this.#world, this.#options.retryBudgetMs);
      for (;;) {
        const outcome = await this.#attempt(open, acknowledged);
        open = outcome.again;
        if (open.length === 0) break;
        const mayTryAgain = !this.#options.isStopped() && (await backoff.pause());
        if (mayTryAgain) continue;
        for (const item of open) this.#failItem(item, outcome.reason);
        break;
      }
    } finally {
      await this.#settle(batch, acknowledged);
    }
  }

  /** Repeating a put whose outcome is unknown is safe here: the same bytes under the same key, whoever wins. */
  async #attempt(
    items: readonly BulkItem[],
    acknowledged: BulkItem[],
  ): Promise<{ readonly again: readonly BulkItem[]; readonly reason: string }> {
    let results: readonly BatchResult[];
    try {
      results = await this.#options.client.batch(items.map(toOperation), {
        timeoutMs: BATCH_TIMEOUT_MS,
        ...this.#options.batchOptions,
      });
    } catch (error) {
      const isTransientError =
        error instanceof GyreConnectionError ||
        (error instanceof GyreError && isTransient(error.status));
      if (!isTransientError) throw error;
      return { again: items, reason: error.message };
    }
    const again: BulkItem[] = [];
    let reason = "";
    for (const [index, item] of items.entries()) {
      const result = results[index];
      if (result !== undefined && result.status >= 200 && result.status < 300)
        acknowledged.push(item);
      else if (result === undefined || isTransient(result.status)) {
        again.push(item);
        reason = describe(result);
      } else this.#failItem(item, describe(result));
    }
    return { again, reason };
  }

  async #settle(batch: readonly BulkItem[], acknowledged: readonly BulkItem[]): Promise<void> {
    for (const item of batch) this.#keysInFlight.delete(item.key);
    const voided: BulkItem[] = [];
    for (const item of acknowledged) {
      const earlier = this.#failedByKey.get(item.key);
      if (earlier === undefined) continue;
      // Importing it later would put the older value over the newer one.
      this.#failedByKey.delete(item.key);
      voided.push(earlier);
    }
    this.#counts.imported += acknowledged.length;
    await this.#options.journal.record([...acknowledged, ...voided].map((item) => item.raw));
    this.#options.onProgress(this.#counts);
  }

  #failItem(item: BulkItem, reason: string): void {
    this.#failedByKey.set(item.key, item);
    this.#fail({ line: item.raw.line, reason: `key ${JSON.stringify(item.key)}: ${reason}` });
  }

  #fail(fault: ItemFault): void {
    this.#counts.failed += 1;
    this.#options.onFault(fault);
  }
}

function describe(result: BatchResult | undefined): string {
  if (result === undefined) return "the server's answer left it out";
  const { detail, code } = result.error ?? {};
  return `${String(detail ?? `status ${result.status}`)}${code === undefined ? "" : ` (${String(code)})`}`;
}

function toOperation(item: BulkItem): BatchOperation {
  return {
    op: "put",
    key: item.key,
    value: item.value,
    ...(item.ttl === undefined ? {} : { ttl: item.ttl }),
    ...(item.expires === undefined ? {} : { expires: item.expires }),
    ...(item.metadata === undefined ? {} : { metadata: item.metadata }),
    ...(item.contentType === undefined ? {} : { contentType: item.contentType }),
  };
}
