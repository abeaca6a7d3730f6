/** What a run has done, added up and as a table: figures without a denominator say nothing. */
import { COVERED_SHARE, STATE_GROUPS } from "./coverage.ts";
import type { SeedResult } from "./run-seed.ts";

interface Count {
  /** In all, and in how many seeds at least once. */
  readonly times: number;
  readonly seeds: number;
}

export interface Figures {
  readonly seeds: number;
  readonly tookMs: number;
  readonly virtualMs: number;
  readonly operations: number;
  readonly operationsLeast: number;
  readonly acknowledged: number;
  readonly violated: readonly number[];
  readonly counts: Readonly<Record<string, Count>>;
}

export function figuresOf(results: readonly SeedResult[], tookMs: number): Figures {
  const counts: Record<string, Count> = {};
  for (const result of results) {
    for (const [name, times] of Object.entries(result.counts)) {
      const before = counts[name] ?? { times: 0, seeds: 0 };
      counts[name] = { times: before.times + times, seeds: before.seeds + 1 };
    }
  }
  const sum = (of: (result: SeedResult) => number): number =>
    results.reduce((total, result) => total + of(result), 0);
  return {
    seeds: results.length,
    tookMs,
    virtualMs: sum((result) => result.virtualMs),
    operations: sum((result) => result.operations),
    operationsLeast: Math.min(...results.map((result) => result.operations)),
    acknowledged: sum((result) => result.acknowledged),
    violated: results.filter((r) => r.violations.length > 0).map((r) => r.seed),
    counts,
  };
}

export function addFigures(a: Figures, b: Figures): Figures {
  const counts: Record<string, Count> = { ...a.counts };
  for (const [name, { times, seeds }] of Object.entries(b.counts)) {
    const before = counts[name] ?? { times: 0, seeds: 0 };
    counts[name] = { times: before.times + times, seeds: before.seeds + seeds };
  }
  return {
    seeds: a.seeds + b.seeds,
    tookMs: a.tookMs + b.tookMs,
    virtualMs: a.virtualMs + b.virtualMs,
    operations: a.operations + b.operations,
    operationsLeast: Math.min(a.operationsLeast, b.operationsLeast),
    acknowledged: a.acknowledged + b.acknowledged,
    violated: [...a.violated, ...b.violated],
    counts,
  };
}

const thousands = (value: number): string => Math.round(value).toLocaleString("en-US");

/** Markdown, so that it can stand in docs/ as it is printed. */
export function tableOf(figures: Figures): string[] {
  const { seeds, tookMs, virtualMs, counts, violated } = figures;
  const lines = [
    `${thousands(seeds)} seeds in ${(tookMs / 1000).toFixed(1)} s: ${thousands((60_000 * seeds) / tookMs)} seeds per minute, ${thousands(virtualMs / tookMs)} simulated seconds per second, ${(virtualMs / 3_600_000).toFixed(1)} simulated hours`,
    `${thousands(figures.operations)} client operations (${figures.operationsLeast} in the shortest seed), ${thousands(figures.acknowledged)} writes acknowledged`,
  ];
  const missed: string[] = [];
  for (const { title, states } of STATE_GROUPS) {
    lines.push("", `| ${title} | times | in % of seeds |`, "|---|---|---|");
    for (const [name, label] of Object.entries(states)) {
      const count = counts[name] ?? { times: 0, seeds: 0 };
      const share = count.seeds / seeds;
      const isRare = share < COVERED_SHARE;
      if (isRare) missed.push(label);
      const percent = (100 * share).toFixed(share > 0 && isRare ? 3 : 1);
      lines.push(`| ${label} | ${thousands(count.times)} | ${percent}${isRare ? " (rare)" : ""} |`);
    }
  }
  lines.push("");
  if (missed.length > 0) lines.push(`in fewer than 1 % of seeds: ${missed.join(", ")}`);
  lines.push(violated.length === 0 ? "0 violations" : `violations in seeds ${violated.join(" ")}`);
  return lines;
}
