import { type BulkFormat, type ItemFault, type ParsedItem, parseItem } from "./bulk-item.ts";
import { BulkSyntaxError, readItems } from "./bulk-read.ts";
import { type Command, makeCommand } from "./command.ts";
import {
  CONNECTION_ARGS,
  CONSISTENCY_ARG,
  connect,
  namespaceOf,
  parseCount,
} from "./connection.ts";
import { EXIT, type ExitCode } from "./errors.ts";
import { type ImportJournal, openJournal } from "./import-journal.ts";
import { type ImportCounts, runImport } from "./import-run.ts";
import { humanBytes, printJson } from "./output.ts";
import type { Platform, Sha256 } from "./platform.ts";
import { type Progress, startProgress } from "./progress.ts";

const FAULTS_SHOWN_MAX = 20;

export function importCommand(platform: Platform): Command {
  return makeCommand({
    name: "import",
    description: "Store many keys from NDJSON or from wrangler's bulk JSON",
    args: {
      file: { type: "positional", required: true, description: "the file; - for stdin" },
      format: {
        type: "enum",
        options: ["auto", "ndjson", "wrangler"] as ("auto" | BulkFormat)[],
        description: "auto tells by the first byte (default: auto)",
      },
      "dry-run": { type: "boolean", description: "Read and check everything, store nothing" },
      resume: {
        type: "string",
        valueHint: "FILE",
        description: "Journal of what is acknowledged (default: FILE.gyre-import beside the input)",
      },
      concurrency: {
        type: "string",
        valueHint: "N",
        description: "Batches under way at once (default: 8)",
      },
      "batch-items": {
        type: "string",
        valueHint: "N",
        description: "Keys in a batch, up to 1000 (default: 100)",
      },
      "retry-seconds": {
        type: "string",
        valueHint: "N",
        description: "How long what may pass is tried again (default: 60)",
      },
      quiet: { type: "boolean", description: "No progress, only faults and the summary" },
      ...CONNECTION_ARGS,
      ...CONSISTENCY_ARG,
      json: { type: "boolean", description: "Write the summary as JSON to stdout" },
    },
    run: (args) => importFile(platform, args),
  });
}

interface ImportFlags {
  readonly file: string;
  readonly format?: "auto" | BulkFormat | undefined;
  readonly "dry-run"?: boolean | undefined;
  readonly resume?: string | undefined;
  readonly concurrency?: string | undefined;
  readonly "batch-items"?: string | undefined;
  readonly "retry-seconds"?: string | undefined;
  readonly quiet?: boolean | undefined;
  readonly json?: boolean | undefined;
  readonly url?: string | undefined;
  readonly namespace?: string | undefined;
  readonly "timeout-ms"?: string | undefined;
  readonly consistency?: "one" | "local-quorum" | "quorum" | "each-quorum" | "all" | undefined;
}

async function importFile(platform: Platform, flags: ImportFlags): Promise<ExitCode> {
  const startedMs = platform.clock.monotonicMs();
  const input = await openInput(platform, flags);
  const faults = createFaultReport(platform);
  const progress = startProgress(platform, "import", input.sizeBytes, flags.quiet === true);
  const stop = watchForStop(platform);
  let counts: ImportCounts;
  try {
    counts =
      flags["dry-run"] === true
        ? await checkOnly(input, faults.report)
        : await store(platform, flags, input, {
            faults: faults.report,
            progress,
            isStopped: () => stop.asked,
          });
  } finally {
    stop.forget();
  }
  const seconds = (platform.clock.monotonicMs() - startedMs) / 1000;
  const isComplete = counts.failed === 0 && !stop.asked;
  if (isComplete && flags["dry-run"] !== true) await input.journal.remove();
  else await input.journal.close();
  await faults.flush();
  await progress.end(note(counts));
  await summarize(platform, flags, input, counts, { seconds, isStopped: stop.asked });
  return isComplete ? EXIT.done : EXIT.failed;
}

interface Input {
  readonly name: string;
  /** Null for stdin. */
  readonly sizeBytes: number | null;
  readonly items: AsyncIterable<ParsedItem>;
  readonly journal: ImportJournal;
  readonly journalPath: string | null;
  readonly sum: Sha256;
  /** Filled while the items are read. */
  readonly read: { bytes: number; items: number; format: BulkFormat };
}

async function openInput(platform: Platform, flags: ImportFlags): Promise<Input> {
  const isStdin = flags.file === "-";
  const source = isStdin
    ? { sizeBytes: null, stream: platform.stdin.stream() }
    : await platform.files.openRead(flags.file);
  const journalPath = flags.resume ?? (isStdin ? null : `${flags.file}.gyre-import`);
  const usesJournal = flags["dry-run"] !== true;
  const journal = await openJournal(
    platform,
    usesJournal ? journalPath : null,
    namespaceOf(platform, flags),
  );
  const sum = platform.sha256();
  const read: Input["read"] = { bytes: 0, items: 0, format: "ndjson" };
  const format = flags.format === undefined || flags.format === "auto" ? null : flags.format;
  return {
    name: isStdin ? "stdin" : flags.file,
    sizeBytes: source.sizeBytes,
    items: parsedItems(source.stream, format, sum, read),
    journal,
    journalPath: usesJournal ? journalPath : null,
    sum,
    read,
  };
}

async function* parsedItems(
  stream: ReadableStream<Uint8Array>,
  format: BulkFormat | null,
  sum: Sha256,
  read: Input["read"],
): AsyncGenerator<ParsedItem, void, void> {
  async function* counted(): AsyncGenerator<Uint8Array, void, void> {
    const reader = stream.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      sum.update(value);
      read.bytes += value.length;
      yield value;
    }
  }
  const rawItems = readItems(counted(), format, (found) => {
    read.format = found;
  });
  try {
    for await (const raw of rawItems) {
      read.items += 1;
      yield parseItem(raw, read.format);
    }
  } catch (error) {
    // What was read before it has been stored; the rest of the file cannot be understood.
    if (!(error instanceof BulkSyntaxError)) throw error;
    yield { status: "fault", fault: { line: 0, reason: error.message } };
  }
}

interface Reporting {
  readonly faults: (fault: ItemFault) => void;
  readonly progress: Progress;
  readonly isStopped: () => boolean;
}

async function store(
  platform: Platform,
  flags: ImportFlags,
  input: Input,
  reporting: Reporting,
): Promise<ImportCounts> {
  const { journal } = input;
  if (journal.acknowledgedBefore > 0) {
    await platform.stderr.write(
      `going on after ${journal.acknowledgedBefore} items that ${input.journalPath} says are acknowledged\n`,
    );
  }
  return await runImport(platform, input.items, {
    // Retries are the engine's: it repeats what failed, not the whole batch.
    client: connect(platform, flags, 1),
    journal,
    batchOptions: { consistency: flags.consistency },
    batchItems: parseCount("--batch-items", flags["batch-items"], 1, 1000) ?? 100,
    concurrency: parseCount("--concurrency", flags.concurrency, 1, 256) ?? 8,
    retryBudgetMs: 1000 * (parseCount("--retry-seconds", flags["retry-seconds"], 0, 86_400) ?? 60),
    onFault: reporting.faults,
    onProgress: (counts) => reporting.progress.update(input.read.bytes, note(counts)),
    isStopped: reporting.isStopped,
  });
}

async function checkOnly(input: Input, onFault: (fault: ItemFault) => void): Promise<ImportCounts> {
  const counts: ImportCounts = { imported: 0, resumed: 0, expired: 0, failed: 0 };
  for await (const parsed of input.items) {
    if (parsed.status === "item") continue;
    counts.failed += 1;
    onFault(parsed.fault);
  }
  return counts;
}

function note(counts: ImportCounts): string {
  const parts = [`${counts.imported} imported`];
  if (counts.resumed > 0) parts.push(`${counts.resumed} before`);
  if (counts.expired > 0) parts.push(`${counts.expired} expired`);
  if (counts.failed > 0) parts.push(`${counts.failed} failed`);
  return parts.join(", ");
}

/** The first faults in full, of the others only how many: a file of the wrong kind has a fault in every line. */
function createFaultReport(platform: Platform) {
  let count = 0;
  let writing: Promise<void> = Promise.resolve();
  const say = (line: string): void => {
    writing = writing.then(() => platform.stderr.write(line));
  };
  return {
    report: (fault: ItemFault): void => {
      count += 1;
      if (count <= FAULTS_SHOWN_MAX)
        say(`${fault.line === 0 ? "" : `line ${fault.line}: `}${fault.reason}\n`);
    },
    flush: async (): Promise<void> => {
      if (count > FAULTS_SHOWN_MAX) say(`... and ${count - FAULTS_SHOWN_MAX} more\n`);
      await writing;
    },
  };
}

function watchForStop(platform: Platform): { asked: boolean; forget(): void } {
  const stop = { asked: false, forget: (): void => undefined };
  stop.forget = platform.onStopSignal(() => {
    if (stop.asked) platform.exitNow(EXIT.failed);
    stop.asked = true;
  });
  return stop;
}

async function summarize(
  platform: Platform,
  flags: ImportFlags,
  input: Input,
  counts: ImportCounts,
  end: { readonly seconds: number; readonly isStopped: boolean },
): Promise<void> {
  const { read } = input;
  const isDryRun = flags["dry-run"] === true;
  // Only a file that was read to its end has a checksum.
  const sha256 = end.isStopped ? null : input.sum.hex();
  if (flags.json === true) {
    const { format, items, bytes } = read;
    await printJson(platform, {
      ...counts,
      dryRun: isDryRun,
      format,
      items,
      bytes,
      sha256,
      seconds: end.seconds,
    });
  }
  const what = `${read.items} items, ${humanBytes(read.bytes)} of ${read.format} from ${input.name}`;
  const rate = end.seconds > 0 ? `, ${Math.round(counts.imported / end.seconds)} keys/s` : "";
  const done = isDryRun
    ? "nothing stored (--dry-run)"
    : `${note(counts)} in ${end.seconds.toFixed(1)} s${rate}`;
  await platform.stderr.write(`${what}: ${done}${sha256 === null ? "" : `; sha256 ${sha256}`}\n`);
  const mayGoOn = !isDryRun && (counts.failed > 0 || end.isStopped) && input.journalPath !== null;
  if (mayGoOn) {
    await platform.stderr.write(
      `What is acknowledged stands in ${input.journalPath}: the same command goes on from there. ` +
        "An item whose outcome is unknown is then put again, with the same bytes, which does no harm.\n",
    );
  }
}
