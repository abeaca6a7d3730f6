/** The program `gyre`: finds the command, runs it, turns what it throws into a sentence on stderr and an exit code. */
import { ConfigError } from "../config.ts";
import { backupCommand } from "./backup.ts";
import type { Command } from "./command.ts";
import { completionsCommand } from "./completions.ts";
import { explainClientError } from "./connection.ts";
import { deleteCommand } from "./delete.ts";
import { devCommand } from "./dev.ts";
import { CliError, EXIT, type ExitCode, usageError } from "./errors.ts";
import { explainCommand } from "./explain.ts";
import { exportCommand } from "./export.ts";
import { getCommand } from "./get.ts";
import { importCommand } from "./import.ts";
import { listCommand } from "./list.ts";
import type { Platform } from "./platform.ts";
import { putCommand } from "./put.ts";
import { restoreCommand } from "./restore.ts";
import { serveCommand } from "./serve.ts";
import { statusCommand } from "./status.ts";
import { verifyCommand } from "./verify.ts";

function makeCommands(platform: Platform): readonly Command[] {
  const commands: Command[] = [
    serveCommand(platform),
    devCommand(platform),
    getCommand(platform),
    putCommand(platform),
    deleteCommand(platform),
    listCommand(platform),
    statusCommand(platform),
    explainCommand(platform),
    importCommand(platform),
    exportCommand(platform),
    verifyCommand(platform),
    backupCommand(platform),
    restoreCommand(platform),
    completionsCommand(platform, () => commands),
  ];
  return commands;
}

/** Runs one command line, without the program's name in front. Never rejects. */
export async function runCli(argv: readonly string[], platform: Platform): Promise<ExitCode> {
  const commands = makeCommands(platform);
  const [name, ...rest] = argv;
  const command = commands.find((each) => each.name === name);
  try {
    if (name === undefined || name === "help" || name === "--help" || name === "-h") {
      const asked = commands.find((each) => each.name === rest[0]);
      await platform.stdout.write(
        plain(platform, asked === undefined ? overview(commands) : await asked.usage()),
      );
      return name === undefined ? EXIT.usage : EXIT.done;
    }
    if (name === "--version" || name === "-v") {
      await platform.stdout.write(`${platform.version}\n`);
      return EXIT.done;
    }
    if (command === undefined) throw usageError(`Unknown command ${JSON.stringify(name)}`);
    if (asksForHelp(rest)) {
      await platform.stdout.write(plain(platform, `${await command.usage()}\n`));
      return EXIT.done;
    }
    return await command.run(rest);
  } catch (error) {
    return await report(platform, command?.name, error);
  }
}

function asksForHelp(args: readonly string[]): boolean {
  const end = args.indexOf("--");
  const flags = end === -1 ? args : args.slice(0, end);
  return flags.includes("--help") || flags.includes("-h");
}

async function report(
  platform: Platform,
  command: string | undefined,
  error: unknown,
): Promise<ExitCode> {
  // Whoever reads our output has closed it (`gyre list | head`): nothing is wrong and nobody is listening.
  if ((error as { readonly code?: unknown } | null)?.code === "EPIPE") return EXIT.done;
  const { message, exitCode } = explain(error);
  const program = command === undefined ? "gyre" : `gyre ${command}`;
  const hint = exitCode === EXIT.usage ? `Try: ${program} --help\n` : "";
  try {
    await platform.stderr.write(`${program}: ${message}\n${hint}`);
  } catch {
    // Nobody is left to tell; the exit code still says it.
  }
  return exitCode;
}

function explain(error: unknown): { readonly message: string; readonly exitCode: ExitCode } {
  if (error instanceof CliError) return error;
  const clientError = explainClientError(error);
  if (clientError !== undefined) return clientError;
  if (error instanceof Error && error.name === "CLIError") {
    // citty's own complaints are about the command line; it colours them for a terminal.
    return { message: withoutColor(error.message), exitCode: EXIT.usage };
  }
  if (error instanceof ConfigError) return { message: error.message, exitCode: EXIT.usage };
  return { message: error instanceof Error ? error.message : String(error), exitCode: EXIT.failed };
}

function overview(commands: readonly Command[]): string {
  const width = Math.max(...commands.map((command) => command.name.length));
  return [
    "Gyre: a self-hosted, multi-region, always-writable key-value store",
    "",
    "USAGE  gyre <command> [options]",
    "",
    ...commands.map((command) => `  ${command.name.padEnd(width)}  ${command.description}`),
    "",
    "`gyre <command> --help` shows the options of a command. Start with `gyre dev`.",
    "",
  ].join("\n");
}

/** citty colours its usage for terminals; everywhere else, and under NO_COLOR, the codes are taken out. */
function plain(platform: Platform, text: string): string {
  const noColor = platform.environment["NO_COLOR"];
  if (platform.stdout.isTerminal && (noColor === undefined || noColor === "")) return text;
  return withoutColor(text);
}

function withoutColor(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the escape character is what is looked for
  return text.replace(/\u001b\[\d+m/g, "");
}
