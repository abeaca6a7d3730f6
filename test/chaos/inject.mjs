/**
 * Loaded into a node's process before the node (`--import` on Node, `--preload` on Bun): lets the campaign skew its clock and
 * stall its event loop through the file that GYRE_CHAOS_CONTROL names. The store itself knows of no such thing.
 *
 *     { "skewMs": 250000, "stallMs": 2000, "stallEveryMs": 3000 }
 */
import { readFileSync } from "node:fs";
import process from "node:process";

const POLL_MS = 50;
const path = process.env["GYRE_CHAOS_CONTROL"] ?? "";
const realNow = Date.now;
let control = { skewMs: 0, stallMs: 0, stallEveryMs: 0 };
let lastStallMs = performance.now();

Date.now = () => realNow() + control.skewMs;

function look() {
  try {
    control = { ...control, ...JSON.parse(readFileSync(path, "utf8")) };
  } catch {
    // Not there, or half written: the next look sees it.
  }
  const nowMs = performance.now();
  if (control.stallMs === 0 || nowMs - lastStallMs < control.stallEveryMs) return;
  while (performance.now() - nowMs < control.stallMs);
  lastStallMs = performance.now();
}

look();
setInterval(look, POLL_MS).unref();
