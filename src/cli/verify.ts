import { type DirectoryReport, verifyData } from "../data-tools.ts";
import { type Command, makeCommand } from "./command.ts";
import { JSON_ARG } from "./connection.ts";
import { EXIT } from "./errors.ts";
import { humanBytes, printJson } from "./output.ts";
import type { Platform } from "./platform.ts";
import { startProgress } from "./progress.ts";

/** Lets other turns run now and then, so that progress is seen and a signal ends the command. */
export function yieldingProgress(
  platform: Platform,
  label: string,
  isQuiet: boolean,
): { onProgress(done: number, total: number): Promise<void>; end(): Promise<void> } {
  let progress: ReturnType<typeof startProgress> | null = null;
  return {
    onProgress: async (done, total) => {
      progress ??= startProgress(platform, label, total, isQuiet);
      progress.update(Math.min(done, total), `${done} rows`);
      await new Promise<void>((resolve) => platform.clock.endOfTurn(resolve));
    },
    end: async () => {
      await progress?.end("read");
    },
  };
}

export function verifyCommand(platform: Platform): Command {
  return makeCommand({
    name: "verify",
    description: "Read every file and row of a stopped node's data directory, and change none",
    args: {
      directory: { type: "positional", required: true, description: "the data directory" },
      ...JSON_ARG,
    },
    run: async (args) => {
      const world = await platform.openDataWorld();
      const progress = yieldingProgress(platform, "verify", args.json === true);
      const report = await verifyData(world, args.directory, progress.onProgress);
      await progress.end();
      const damage = report.findings.filter((finding) => finding.kind === "damage").length;
      if (args.json === true) await printJson(platform, { sound: damage === 0, ...report });
      else await platform.stdout.write(render(args.directory, report, damage));
      return damage === 0 ? EXIT.done : EXIT.failed;
    },
  });
}

function render(path: string, report: DirectoryReport, damage: number): string {
  const { identity, database, findings } = report;
  const lines = [`${path}: ${damage === 0 ? "sound" : `${damage} faults found`}`];
  if (identity !== null) {
    const cluster = identity.clusterId === undefined ? "no cluster yet" : identity.clusterId;
    lines.push(`  node ${identity.nodeId}, ${cluster}, ${identity.boots} starts`);
  }
  if (database !== null) {
    const { rows, values, bytes, asideRows, damagedRows, sequence } = database;
    lines.push(
      `  ${rows} rows with ${values} values and tombstones (${humanBytes(bytes)}), ${asideRows} kept aside, ` +
        `${damagedRows} damaged; newest change ${sequence}`,
      `  gyre.db ${humanBytes(report.databaseBytes)}, log ${humanBytes(report.logBytes)}`,
    );
  }
  for (const { kind, where, what } of findings) {
    lines.push(`  ${kind === "damage" ? "DAMAGE" : "note"}  ${where}: ${what}`);
  }
  if (damage > 0) {
    lines.push(
      'A node of a cluster repairs itself from its peers when it is started: docs/operations.md, "A damaged disk".',
    );
  }
  return `${lines.join("\n")}\n`;
}
