export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** Structured: an event name in kebab-case and fields, never a sentence to parse. */
export interface Logger {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
}
