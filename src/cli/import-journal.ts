/**
 * What an import has had acknowledged, so that it can go on where it was stopped. A file of JSON lines: first
 * `{"gyre":"import journal","version":1,"namespace":NAME}`, then one line for each run of acknowledged items,
 * `{"from":0,"to":99,"sum":"..."}`: indices, both included, and a checksum over the items' text, by which a file that
 * was changed in between is noticed. Lines are appended after the acknowledgement; losing the last ones costs only a
 * repetition.
 */
import { z } from "zod";
import type { RawItem } from "./bulk-item.ts";
import { CliError } from "./errors.ts";
import type { FileWriter, Platform, Sha256 } from "./platform.ts";

const HEADER = z.strictObject({
  gyre: z.literal("import journal"),
  version: z.literal(1),
  namespace: z.string(),
});
const RUN = z.strictObject({ from: z.int().min(0), to: z.int().min(0), sum: z.string() });
type Run = z.infer<typeof RUN>;

const SUM_DIGITS = 32;
const NEWLINE = new Uint8Array([0x0a]);

export interface ImportJournal {
  /** Items acknowledged by earlier imports. */
  readonly acknowledgedBefore: number;
  /**
   * True when the item was acknowledged before. To be asked for each item in order.
   * @throws CliError when the items are not those of the earlier import.
   */
  covers(raw: RawItem): boolean;
  /** REQUIRES: the items are not in the journal yet. */
  record(items: readonly RawItem[]): Promise<void>;
  close(): Promise<void>;
  /** Everything is acknowledged: there is nothing left to go on with. */
  remove(): Promise<void>;
}

/** Null path: nothing is remembered. @throws CliError when the file is not a journal of an import into this namespace. */
export async function openJournal(
  platform: Platform,
  path: string | null,
  namespace: string,
): Promise<ImportJournal> {
  if (path === null) return NO_JOURNAL;
  const text = (await platform.files.readText(path)) ?? "";
  // A line that was cut by a crash is not counted; the next one takes its place.
  const whole = text.slice(0, text.lastIndexOf("\n") + 1);
  const runs = whole === "" ? [] : parseJournal(path, whole, namespace);
  return new FileJournal(platform, path, namespace, runs, new TextEncoder().encode(whole).length);
}

const NO_JOURNAL: ImportJournal = {
  acknowledgedBefore: 0,
  covers: () => false,
  record: () => Promise.resolve(),
  close: () => Promise.resolve(),
  remove: () => Promise.resolve(),
};

function parseJournal(path: string, text: string, namespace: string): Run[] {
  const [first, ...lines] = text.trimEnd().split("\n");
  try {
    const header = HEADER.parse(JSON.parse(first ?? ""));
    if (header.namespace !== namespace) {
      throw new CliError(
        `The journal ${path} is of an import into the namespace ${header.namespace}, not ${namespace}; remove it or ` +
          "name another one with --resume",
      );
    }
    return lines.map((line) => RUN.parse(JSON.parse(line))).sort((a, b) => a.from - b.from);
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError(
      `Cannot understand the journal ${path}; remove it to import from the beginning`,
      {
        cause: error,
      },
    );
  }
}

class FileJournal implements ImportJournal {
  readonly acknowledgedBefore: number;
  readonly #platform: Platform;
  readonly #path: string;
  readonly #namespace: string;
  /** Sorted; those at the front have been passed. */
  readonly #runs: Run[];
  readonly #keepBytes: number;
  #writer: FileWriter | null = null;
  #sum: Sha256 | null = null;
  #tail: Promise<void> = Promise.resolve();

  constructor(platform: Platform, path: string, namespace: string, runs: Run[], keepBytes: number) {
    this.#platform = platform;
    this.#path = path;
    this.#namespace = namespace;
    this.#runs = runs;
    this.#keepBytes = keepBytes;
    this.acknowledgedBefore = runs.reduce((count, run) => count + run.to - run.from + 1, 0);
  }

  covers(raw: RawItem): boolean {
    const run = this.#runs[0];
    if (run === undefined || raw.index < run.from) return false;
    this.#sum ??= this.#platform.sha256();
    addTo(this.#sum, raw);
    if (raw.index === run.to) {
      if (sumOf(this.#sum) !== run.sum) {
        throw new CliError(
          `The items ${run.from} to ${run.to} (up to line ${raw.line}) are not those that the journal ${this.#path} ` +
            "says were imported: the file has changed. Remove the journal to import it from the beginning",
        );
      }
      this.#sum = null;
      this.#runs.shift();
    }
    return true;
  }

  record(items: readonly RawItem[]): Promise<void> {
    // One after another: batches are settled side by side, but the file has one end.
    this.#tail = this.#tail.then(() => this.#append(items));
    return this.#tail;
  }

  async #append(items: readonly RawItem[]): Promise<void> {
    if (items.length === 0) return;
    const lines = runsOf(this.#platform, items).map((run) => `${JSON.stringify(run)}\n`);
    if (this.#writer === null) {
      this.#writer = await this.#platform.files.openWrite(this.#path, this.#keepBytes);
      const header = { gyre: "import journal", version: 1, namespace: this.#namespace };
      if (this.#keepBytes === 0) lines.unshift(`${JSON.stringify(header)}\n`);
    }
    await this.#writer.write(lines.join(""));
  }

  async close(): Promise<void> {
    await this.#writer?.close();
    this.#writer = null;
  }

  async remove(): Promise<void> {
    await this.close();
    await this.#platform.files.remove(this.#path);
  }
}

/** Items that follow each other are one run. */
function runsOf(platform: Platform, items: readonly RawItem[]): Run[] {
  const sorted = [...items].sort((a, b) => a.index - b.index);
  const runs: Run[] = [];
  let sum = platform.sha256();
  let from = sorted[0]?.index ?? 0;
  for (const [i, item] of sorted.entries()) {
    addTo(sum, item);
    if (sorted[i + 1]?.index === item.index + 1) continue;
    runs.push({ from, to: item.index, sum: sumOf(sum) });
    sum = platform.sha256();
    from = sorted[i + 1]?.index ?? 0;
  }
  return runs;
}

function addTo(sum: Sha256, raw: RawItem): void {
  sum.update(raw.text);
  sum.update(NEWLINE);
}

function sumOf(sum: Sha256): string {
  return sum.hex().slice(0, SUM_DIGITS);
}
