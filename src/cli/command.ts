/** One command: citty parses and documents it; what citty lets pass (unknown flags, missing values) is refused here. */
import { type ArgsDef, defineCommand, type ParsedArgs, renderUsage, runCommand } from "citty";
import { type ExitCode, usageError } from "./errors.ts";

export interface Command {
  readonly name: string;
  readonly description: string;
  readonly args: ArgsDef;
  /** Flags that are accepted but shown in no help. */
  readonly hiddenFlags: readonly string[];
  run(rawArgs: readonly string[]): Promise<ExitCode>;
  usage(): Promise<string>;
}

export interface CommandDefinition<Args extends ArgsDef> {
  readonly name: string;
  readonly description: string;
  readonly args: Args;
  readonly hiddenFlags?: readonly string[];
  run(args: ParsedArgs<Args>): Promise<ExitCode>;
}

export function makeCommand<const Args extends ArgsDef>(
  definition: CommandDefinition<Args>,
): Command {
  const { name, description, args } = definition;
  const hiddenFlags = definition.hiddenFlags ?? [];
  const meta = { name: `gyre ${name}`, description };
  const command = defineCommand<Args>({
    meta,
    args,
    run: (context) => definition.run(context.args),
  });
  const shown = Object.fromEntries(
    Object.entries(args).filter(([flag]) => !hiddenFlags.includes(flag)),
  );
  return {
    name,
    description,
    args,
    hiddenFlags,
    run: async (rawArgs) => {
      checkArguments(rawArgs, args);
      const { result } = await runCommand(command, { rawArgs: [...rawArgs] });
      return result as ExitCode;
    },
    usage: () => renderUsage(defineCommand({ meta, args: shown })),
  };
}

/** @throws CliError (usage) for an unknown, repeated or incomplete flag and for a wrong number of operands. */
export function checkArguments(rawArgs: readonly string[], args: ArgsDef): void {
  const seen = new Set<string>();
  let operands = 0;
  for (let i = 0; i < rawArgs.length; i++) {
    const arg = rawArgs[i] ?? "";
    if (arg === "--") {
      operands += rawArgs.length - i - 1;
      break;
    }
    if (!arg.startsWith("-") || arg === "-") {
      operands += 1;
      continue;
    }
    const name = findFlag(arg, args);
    if (seen.has(name))
      throw usageError(
        `--${name} is given twice, want it once (several values: separate them by commas)`,
      );
    seen.add(name);
    const definition = args[name];
    if (definition?.type === "boolean") {
      if (arg.includes("=")) throw usageError(`--${name} takes no value: ${arg}`);
    } else if (!arg.includes("=")) {
      i += 1;
      if (i >= rawArgs.length) throw usageError(`--${name} needs a value`);
    }
  }
  checkOperands(operands, args);
}

function findFlag(arg: string, args: ArgsDef): string {
  const given = arg.split("=", 1)[0] ?? arg;
  for (const [name, definition] of Object.entries(args)) {
    if (definition.type === "positional") continue;
    if (given === `--${name}`) return name;
    const alias = "alias" in definition ? definition.alias : undefined;
    if (typeof alias === "string" && given === `-${alias}`) return name;
  }
  throw usageError(`Unknown flag ${given}`);
}

function checkOperands(count: number, args: ArgsDef): void {
  const operands = Object.entries(args).filter(
    ([, definition]) => definition.type === "positional",
  );
  const missing = operands.slice(count).find(([, definition]) => definition.required !== false);
  if (missing !== undefined)
    throw usageError(`Missing ${missing[0].toUpperCase()}: ${missing[1].description ?? ""}`);
  if (count > operands.length)
    throw usageError(`Too many operands: want ${operands.length}, got ${count}`);
}
