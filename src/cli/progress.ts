/** How far a long command is: a bar where a person looks, a plain line now and then elsewhere. Always on stderr. */
import type { Platform, ProgressBar } from "./platform.ts";

const LINE_INTERVAL_MS = 5_000;
const BAR_INTERVAL_MS = 100;

export interface Progress {
  /** `done` of the total given at the start, in the same unit; `note` is what there is to say. */
  update(done: number, note: string): void;
  /** Takes the bar away. */
  end(note: string): Promise<void>;
}

/** `total` null: unknown (stdin), so there is no bar. */
export function startProgress(
  platform: Platform,
  label: string,
  total: number | null,
  isQuiet: boolean,
): Progress {
  if (isQuiet) return { update: () => undefined, end: () => Promise.resolve() };
  const bar = total === null ? null : platform.progressBar(total, label);
  return bar === null ? plainLines(platform, label, total) : throttled(platform, bar);
}

function throttled(platform: Platform, bar: ProgressBar): Progress {
  let nextMs = 0;
  return {
    update: (done, note) => {
      const nowMs = platform.clock.monotonicMs();
      if (nowMs < nextMs) return;
      nextMs = nowMs + BAR_INTERVAL_MS;
      bar.update(done, note);
    },
    end: (note) => {
      bar.end(note);
      return Promise.resolve();
    },
  };
}

function plainLines(platform: Platform, label: string, total: number | null): Progress {
  let nextMs = platform.clock.monotonicMs() + LINE_INTERVAL_MS;
  let writing: Promise<void> = Promise.resolve();
  return {
    update: (done, note) => {
      const nowMs = platform.clock.monotonicMs();
      if (nowMs < nextMs) return;
      nextMs = nowMs + LINE_INTERVAL_MS;
      const share = total === null || total === 0 ? "" : ` ${Math.floor((done / total) * 100)} %`;
      writing = writing
        .then(() => platform.stderr.write(`${label}:${share} ${note}\n`))
        .catch(() => undefined);
    },
    // The summary of the command follows: it says all that a last line could.
    end: () => writing,
  };
}
