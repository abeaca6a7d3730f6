import { writeSync } from "node:fs";
import { configureSync, getLogger, type LogLevel, type LogRecord } from "@logtape/logtape";
import type { LogFields, Logger } from "../../src/env/logger.ts";

/** What to leave out: everything below this level. `silent` leaves out all. */
export type SystemLogLevel = "debug" | "info" | "warn" | "error" | "silent";

const LOGTAPE_LEVEL: Readonly<Record<SystemLogLevel, LogLevel | null>> = {
  debug: "debug",
  info: "info",
  warn: "warning",
  error: "error",
  silent: null,
};

const STDERR = 2;

/**
 * One JSON object per line: `{"time":"2026-01-01T00:00:00.000Z","level":"info","event":"node-ready",...fields}`. On
 * stderr, because stdout belongs to what a command prints. LogTape is configured for the whole process, so this is
 * for the programs in runtimes/; who embeds a node brings a Logger of its own.
 */
export function createSystemLogger(
  level: SystemLogLevel,
  write: (line: string) => void = writeStderr,
): Logger {
  configureSync({
    reset: true,
    sinks: { lines: (record) => write(formatLine(record)) },
    loggers: [
      { category: "gyre", lowestLevel: LOGTAPE_LEVEL[level], sinks: ["lines"] },
      { category: ["logtape", "meta"], lowestLevel: "error", sinks: ["lines"] },
    ],
  });
  const logger = getLogger("gyre");
  // LogTape fills {placeholders} of a message; an event name has none.
  return {
    debug: (event: string, fields?: LogFields) => logger.debug(event, fields ?? {}),
    info: (event: string, fields?: LogFields) => logger.info(event, fields ?? {}),
    warn: (event: string, fields?: LogFields) => logger.warn(event, fields ?? {}),
    error: (event: string, fields?: LogFields) => logger.error(event, fields ?? {}),
  };
}

function formatLine(record: LogRecord): string {
  return JSON.stringify({
    time: new Date(record.timestamp).toISOString(),
    level: record.level,
    event: record.rawMessage,
    ...record.properties,
  });
}

/** Synchronous: the last line before a fail-stop is the one that matters. */
export function writeStderr(line: string): void {
  const bytes = Buffer.from(`${line}\n`);
  let written = 0;
  try {
    while (written < bytes.length) written += writeSync(STDERR, bytes, written);
  } catch {
    // Nobody reads the log any more (EPIPE), or reads it too slowly (EAGAIN): that must not stop the store.
  }
}
