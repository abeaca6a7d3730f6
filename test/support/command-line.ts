/**
 * The command line of the programs for developers: simulator, campaigns, benchmarks. Each says what it may be given; from that
 * come the values, the usage for `--help`, and a sentence with exit code 2 for what cannot be.
 */
import process from "node:process";
import { type ArgsDef, defineCommand, parseArgs, renderUsage } from "citty";
import { checkArguments } from "../../src/cli/command.ts";
import { CliError, EXIT, usageError } from "../../src/cli/errors.ts";

interface Described {
  readonly description: string;
  /** Accepted, and in no usage: for the program's own children. */
  readonly hidden?: true;
}

type Option = Described &
  (
    | { readonly type: "flag" }
    | { readonly type: "text"; readonly hint: string; readonly default?: string }
    /** A whole number, from 1 on unless `min` says otherwise. */
    | { readonly type: "count"; readonly default?: number; readonly min?: number }
    | { readonly type: "choice"; readonly of: readonly string[]; readonly default: string }
    /** Several, separated by commas. */
    | { readonly type: "choices"; readonly of: readonly string[]; readonly default: string }
  );

type Worded = Exclude<Option, { readonly type: "flag" }>;

type Given<O extends Option, Value> = O extends { readonly default: unknown }
  ? Value
  : Value | undefined;

type ValueOf<O extends Option> = O extends { readonly type: "flag" }
  ? boolean
  : O extends { readonly type: "count" }
    ? Given<O, number>
    : O extends { readonly type: "choice"; readonly of: readonly (infer Name)[] }
      ? Name
      : O extends { readonly type: "choices"; readonly of: readonly (infer Name)[] }
        ? readonly Name[]
        : Given<O, string>;

type Options = Readonly<Record<string, Option>>;
type Values<O extends Options> = { readonly [Name in keyof O]: ValueOf<O[Name]> };

export interface CommandLine<O extends Options> {
  /** As one types it: `npm run sim --`. */
  readonly name: string;
  readonly description: string;
  readonly options: O;
}

/** The values. Ends the process after `--help` (0), and with a sentence when they cannot be (2). */
export async function readCommandLine<const O extends Options>(
  line: CommandLine<O>,
  argv: readonly string[] = process.argv.slice(2),
): Promise<Values<O>> {
  if (argv.includes("--help") || argv.includes("-h")) {
    process.stdout.write(`${await usageOf(line)}\n`);
    process.exit(EXIT.done);
  }
  try {
    return parseCommandLine(line, argv);
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    process.stderr.write(
      `${line.name.replace(/ --$/, "")}: ${error.message}\n\n${await usageOf(line)}\n`,
    );
    process.exit(error.exitCode);
  }
}

/** @throws CliError for what cannot be. */
export function parseCommandLine<const O extends Options>(
  { options }: CommandLine<O>,
  argv: readonly string[],
): Values<O> {
  const args = argsOf(options);
  checkArguments(argv, args);
  const given: Readonly<Record<string, unknown>> = parseArgs([...argv], args);
  const values = Object.entries(options).map(([name, option]) => [
    name,
    readValue(name, option, given[name]),
  ]);
  return Object.fromEntries(values) as Values<O>;
}

export async function usageOf({
  name,
  description,
  options,
}: CommandLine<Options>): Promise<string> {
  const shown = Object.entries(options).filter(([, option]) => option.hidden !== true);
  const args = argsOf(Object.fromEntries(shown));
  const usage = await renderUsage(defineCommand({ meta: { name, description }, args }));
  // biome-ignore lint/suspicious/noControlCharactersInRegex: citty colours whatever it is printed to
  return usage.replace(/\u001b\[\d+m/g, "");
}

function argsOf(options: Options): ArgsDef {
  return Object.fromEntries(
    Object.entries(options).map(([name, option]) => {
      if (option.type === "flag")
        return [name, { type: "boolean", description: option.description }];
      const names = "of" in option ? `: ${option.of.join(", ")}` : "";
      const hasDefault = option.default !== undefined && option.default !== "";
      const fallback = hasDefault ? ` (default: ${option.default})` : "";
      const description = option.description + names + fallback;
      return [name, { type: "string", valueHint: hintOf(option), description }];
    }),
  );
}

function hintOf(option: Worded): string {
  switch (option.type) {
    case "text":
      return option.hint;
    case "count":
      return "N";
    case "choice":
      return "NAME";
    case "choices":
      return "NAME,...";
  }
}

function readValue(name: string, option: Option, given: unknown): unknown {
  if (option.type === "flag") return given === true;
  if (typeof given === "string") return readText(name, option, given);
  return option.type === "choices" ? option.default.split(",") : option.default;
}

function readText(name: string, option: Worded, text: string): unknown {
  const refuse = (want: string): CliError =>
    usageError(`cannot use --${name} ${JSON.stringify(text)}, want ${want}`);
  switch (option.type) {
    case "text":
      return text;
    case "count": {
      const min = option.min ?? 1;
      const count = Number(text);
      if (/^\d+$/.test(text) && Number.isSafeInteger(count) && count >= min) return count;
      throw refuse(`a whole number from ${min} on`);
    }
    case "choice":
      if (option.of.includes(text)) return text;
      throw refuse(`one of ${option.of.join(", ")}`);
    case "choices": {
      const names = text.split(",");
      if (names.every((each) => option.of.includes(each))) return names;
      throw refuse(`some of ${option.of.join(", ")}, separated by commas`);
    }
  }
}
