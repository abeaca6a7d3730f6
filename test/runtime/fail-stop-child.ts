/** Prints "before", stops by fail-stop, and would print "after" if that returned or ran exit handlers. */
import process from "node:process";
import { createSystemEnv } from "../../runtimes/shared/system-env.ts";
import { createSystemLogger } from "../../runtimes/shared/system-logger.ts";

const env = await createSystemEnv(createSystemLogger("silent"));
process.on("exit", () => process.stdout.write("after\n"));
process.stdout.write("before\n", () => {
  try {
    env.failStop("a test asked for it", new Error("cause"));
  } finally {
    process.stdout.write("after\n");
  }
});
