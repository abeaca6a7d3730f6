import type { Logger } from "../../src/env/logger.ts";
import { createSystemLogger, type SystemLogLevel, writeStderr } from "./system-logger.ts";

/** `text` is for a person at a terminal: `12:00:00.000 info  node-ready url=http://127.0.0.1:7070`. */
export function createFormattedLogger(level: SystemLogLevel, format: "json" | "text"): Logger {
  if (format === "json") return createSystemLogger(level);
  return createSystemLogger(level, (line) => writeStderr(textOf(line)));
}

function textOf(line: string): string {
  const { time, level, event, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const shown = Object.entries(fields).map(([name, value]) => `${name}=${quoted(value)}`);
  return [String(time).slice(11, 23), String(level).padEnd(7), event, ...shown].join(" ");
}

function quoted(value: unknown): string {
  const text = String(value);
  return /^[^\s"=]+$/.test(text) ? text : JSON.stringify(text);
}
