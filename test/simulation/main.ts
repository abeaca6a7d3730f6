import { createSystemHasher } from "../../runtimes/shared/system-hasher.ts";
import { runSeed } from "./run-seed.ts";
const hasher = await createSystemHasher();
const from = Number(process.argv[2] ?? 1), n = Number(process.argv[3] ?? 1), show = process.argv[4] === "--trace";
const t0 = performance.now();
const totals = new Map<string, number>();
let bad = 0, ops=0, virt=0;
for (let s = from; s < from + n; s++) {
  const t = performance.now();
  const r = await runSeed(s, hasher, show);
  ops += r.operations; virt += r.virtualMs;
  if (show) for (const l of r.trace) console.log(l);
  for (const [k, v] of Object.entries(r.counts)) totals.set(k, (totals.get(k) ?? 0) + 1);
  if (r.violations.length) { bad++; console.log("seed", s, JSON.stringify(r.options)); for (const v of r.violations.slice(0, 4)) console.log("  ", v.checker, v.atMs, v.text); }
  if (n < 6) console.log(s, r.hash, r.events, r.virtualMs, r.operations, r.acknowledged, (performance.now() - t).toFixed(0) + "ms", JSON.stringify(r.counts));
}
console.log("bad", bad, "of", n, "ms/seed", ((performance.now() - t0) / n).toFixed(0), "ops", ops/n, "virt", virt/n);
if (n >= 6) console.log([...totals].sort((a, b) => b[1] - a[1]).map(([k, v]) => `${k}: ${v}`).join("\n"));
