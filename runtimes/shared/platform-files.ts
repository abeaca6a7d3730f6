/** The files of the command line, by node:fs, which all three runtimes have. Errors name the path and the reason. */
import { createHash, randomUUID } from "node:crypto";
import { mkdir, open, readFile, rename, rm, stat } from "node:fs/promises";
import type { CliFiles, FileWriter, Sha256 } from "../../src/cli/platform.ts";

const READ_CHUNK_BYTES = 256 * 1024;

export const cliFiles: CliFiles = {
  readText: (path) =>
    named("read", path, async () => {
      try {
        return await readFile(path, "utf8");
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw error;
      }
    }),
  writeText: (path, text, options) =>
    named("write", path, async () => {
      const temporary = `${path}.${randomUUID()}.tmp`;
      const file = await open(temporary, "wx", options?.secret === true ? 0o600 : 0o644);
      try {
        await file.writeFile(text);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, path);
    }),
  openRead: (path) => named("read", path, () => openRead(path)),
  openWrite: (path, keepBytes) => named("write", path, () => openWrite(path, keepBytes)),
  sizeBytes: (path) =>
    named("look at", path, async () => {
      try {
        return (await stat(path)).size;
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw error;
      }
    }),
  makeDirectory: (path) =>
    named("make the directory", path, async () => {
      await mkdir(path, { recursive: true, mode: 0o700 });
    }),
  remove: (path) => named("remove", path, () => rm(path, { force: true })),
};

export function createSha256(): Sha256 {
  const hash = createHash("sha256");
  return {
    update: (bytes) => {
      hash.update(bytes);
    },
    hex: () => hash.copy().digest("hex"),
  };
}

async function openRead(
  path: string,
): Promise<{ sizeBytes: number; stream: ReadableStream<Uint8Array> }> {
  const file = await open(path, "r");
  const information = await file.stat();
  if (information.isDirectory()) {
    await file.close();
    throw new Error("it is a directory");
  }
  const stream = new ReadableStream<Uint8Array>({
    pull: async (controller) => {
      const chunk = new Uint8Array(READ_CHUNK_BYTES);
      const { bytesRead } = await file.read(chunk, 0, chunk.length, null);
      if (bytesRead > 0) controller.enqueue(chunk.subarray(0, bytesRead));
      else {
        controller.close();
        await file.close();
      }
    },
    cancel: () => file.close(),
  });
  return { sizeBytes: information.size, stream };
}

async function openWrite(path: string, keepBytes: number): Promise<FileWriter> {
  const file = await open(path, keepBytes === 0 ? "w" : "r+");
  await file.truncate(keepBytes);
  let position = keepBytes;
  return {
    write: (data) =>
      named("write", path, async () => {
        const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
        let written = 0;
        while (written < bytes.length) {
          const { bytesWritten } = await file.write(
            bytes,
            written,
            bytes.length - written,
            position,
          );
          written += bytesWritten;
          position += bytesWritten;
        }
      }),
    close: () => file.close(),
  };
}

async function named<T>(act: string, path: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    throw new Error(
      `Cannot ${act} ${path}: ${error instanceof Error ? error.message : String(error)}`,
      {
        cause: error,
      },
    );
  }
}

function isMissing(error: unknown): boolean {
  return (error as { readonly code?: unknown } | null)?.code === "ENOENT";
}
