/** Completion scripts, made from the commands themselves, so that they cannot be out of date. */
import { type Command, makeCommand } from "./command.ts";
import { EXIT, usageError } from "./errors.ts";
import type { Platform } from "./platform.ts";

type Shell = "bash" | "zsh" | "fish";

export function completionsCommand(
  platform: Platform,
  commands: () => readonly Command[],
): Command {
  return makeCommand({
    name: "completions",
    description: "Write a completion script: bash, zsh or fish",
    args: {
      shell: { type: "positional", required: true, description: "bash, zsh or fish" },
    },
    run: async (args) => {
      if (!Object.hasOwn(SCRIPTS, args.shell)) {
        throw usageError(
          `Cannot complete for ${JSON.stringify(args.shell)}, want bash, zsh or fish`,
        );
      }
      await platform.stdout.write(SCRIPTS[args.shell as Shell](commands()));
      return EXIT.done;
    },
  });
}

interface FlagView {
  readonly flag: string;
  readonly description: string;
  /** What the flag's value may be; empty for any or none. */
  readonly choices: readonly string[];
  readonly takesValue: boolean;
}

const SCRIPTS: Readonly<Record<Shell, (commands: readonly Command[]) => string>> = {
  bash,
  zsh,
  fish,
};

function flagsOf(command: Command): FlagView[] {
  const flags = Object.entries(command.args)
    .filter(([name, arg]) => arg.type !== "positional" && !command.hiddenFlags.includes(name))
    .map(([name, arg]) => ({
      flag: `--${name}`,
      description: arg.description ?? "",
      choices: arg.type === "enum" ? (arg.options ?? []) : [],
      takesValue: arg.type !== "boolean",
    }));
  return [
    ...flags,
    { flag: "--help", description: "Show the options", choices: [], takesValue: false },
  ];
}

function bash(commands: readonly Command[]): string {
  const names = commands.map((command) => command.name).join(" ");
  const cases = commands.map((command) => {
    const flags = flagsOf(command);
    return `    ${command.name}) flags="${flags.map(({ flag }) => flag).join(" ")}" ;;`;
  });
  const choices = new Map(commands.flatMap(flagsOf).map((flag) => [flag.flag, flag.choices]));
  const choiceCases = [...choices]
    .filter(([, values]) => values.length > 0)
    .map(
      ([flag, values]) =>
        `    ${flag}) COMPREPLY=($(compgen -W "${values.join(" ")}" -- "$word")); return ;;`,
    );
  return `# bash completion of gyre: source this file, or put it into /etc/bash_completion.d/gyre
_gyre() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} flags=""
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${names} --help --version" -- "$word"))
    return
  fi
  case "$before" in
${choiceCases.join("\n")}
    completions) COMPREPLY=($(compgen -W "bash zsh fish" -- "$word")); return ;;
  esac
  case "\${COMP_WORDS[1]}" in
${cases.join("\n")}
  esac
  case "$word" in
    -*) COMPREPLY=($(compgen -W "$flags" -- "$word")) ;;
    *) COMPREPLY=($(compgen -f -- "$word")) ;;
  esac
}
complete -F _gyre gyre
`;
}

function zsh(commands: readonly Command[]): string {
  const names = commands.map(
    (command) => `    ${zshQuoted(`${command.name}:${command.description}`)}`,
  );
  const cases = commands.map((command) => {
    const flags = flagsOf(command).map((flag) => {
      const choices = flag.choices.length > 0 ? `(${flag.choices.join(" ")})` : "_files";
      const value = flag.takesValue ? `:value:${choices}` : "";
      const description = flag.description.replaceAll(/[[\]:]/g, " ");
      return zshQuoted(`${flag.flag}[${description}]${value}`);
    });
    const operand =
      command.name === "completions" ? "'*:shell:(bash zsh fish)'" : "'*:file:_files'";
    return `    ${command.name}) _arguments ${[...flags, operand].join(" \\\n      ")} ;;`;
  });
  return `#compdef gyre
# zsh completion of gyre: put this file as _gyre into a directory of $fpath
_gyre() {
  local -a commands=(
${names.join("\n")}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local name=$words[2]
  shift words
  (( CURRENT-- ))
  case $name in
${cases.join("\n")}
  esac
}
compdef _gyre gyre
`;
}

function fish(commands: readonly Command[]): string {
  const lines = commands.flatMap((command) => [
    `complete -c gyre -n __fish_use_subcommand -f -a ${command.name} -d ${fishQuoted(command.description)}`,
    ...flagsOf(command).map((flag) => {
      const choices =
        flag.choices.length > 0 ? ` -x -a ${fishQuoted(flag.choices.join(" "))}` : " -r";
      const value = flag.takesValue ? choices : "";
      return (
        `complete -c gyre -n ${fishQuoted(`__fish_seen_subcommand_from ${command.name}`)} ` +
        `-l ${flag.flag.slice(2)} -d ${fishQuoted(flag.description)}${value}`
      );
    }),
  ]);
  return `# fish completion of gyre: put this file into ~/.config/fish/completions/gyre.fish
${lines.join("\n")}
complete -c gyre -n "__fish_seen_subcommand_from completions" -f -a "bash zsh fish"
`;
}

function zshQuoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function fishQuoted(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
