import type { Figures } from "./seed-jobs.ts";

/** Log events that are no state worth covering. */
const DULL = /^log (layout-adopted|cluster-created|joiners-decided|join-unanswered)$/;

/** What a run has done, as a table: figures without a denominator say nothing. */
export function printFigures(figures: Figures, print: (text: string) => void): void {
  const seconds = figures.tookMs / 1000;
  print("");
  print(
    `${figures.seeds} seeds in ${seconds.toFixed(1)} s: ${(figures.seeds / seconds).toFixed(1)} seeds/s, ${(figures.virtualMs / figures.tookMs).toFixed(0)} simulated seconds per second`,
  );
  print(
    `${figures.operations} client operations (${figures.operationsLeast} in the shortest seed), ${figures.acknowledged} writes acknowledged`,
  );
  print("");
  print("fault or state                          times   in % of seeds");
  const rows = [...figures.counts].filter(([name]) => !DULL.test(name));
  rows.sort(([a], [b]) => (a < b ? -1 : 1));
  for (const [name, { times, seeds }] of rows) {
    const percent = ((100 * seeds) / figures.seeds).toFixed(1);
    print(`${name.padEnd(36)} ${String(times).padStart(8)}   ${percent.padStart(6)}`);
  }
  print("");
  const { violated } = figures;
  print(violated.length === 0 ? "0 violations" : `violations in seeds ${violated.join(" ")}`);
}
