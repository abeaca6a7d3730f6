import { restoreData } from "../data-tools.ts";
import { type Command, makeCommand } from "./command.ts";
import { JSON_ARG } from "./connection.ts";
import { EXIT } from "./errors.ts";
import { printJson } from "./output.ts";
import type { Platform } from "./platform.ts";

export function restoreCommand(platform: Platform): Command {
  return makeCommand({
    name: "restore",
    description: "Make a data directory of a backup, for a node whose disk is lost",
    args: {
      backup: { type: "positional", required: true, description: "the backup's directory" },
      data: {
        type: "string",
        required: true,
        valueHint: "DIR",
        description: "Data directory to make: empty, or not there yet",
      },
      "whole-cluster": {
        type: "boolean",
        description:
          "Every node of the cluster is restored: take the layout in the backup for the newest. Never while any node runs on its own data",
      },
      ...JSON_ARG,
    },
    run: async (args) => {
      const world = await platform.openDataWorld();
      const wholeCluster = args["whole-cluster"] === true;
      const { backup, data } = args;
      const manifest = await restoreData(world, { backup, data, wholeCluster });
      if (args.json === true) {
        await printJson(platform, { path: data, ...manifest });
        return EXIT.done;
      }
      const madeAt = new Date(manifest.createdAtMs).toISOString();
      await platform.stdout.write(
        `${data}: node ${manifest.nodeId} as of ${madeAt}, ${manifest.rows} rows\n` +
          "Start it as before. It takes a new actor id, and holds these rows apart until its co-owners have told what became " +
          "of them since.\n",
      );
      return EXIT.done;
    },
  });
}
