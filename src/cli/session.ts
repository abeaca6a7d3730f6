/** `--session FILE`: one session over several commands, kept in a file. */
import type { GyreClient } from "../client/client.ts";
import type { Platform } from "./platform.ts";

export const SESSION_ARG = {
  session: {
    type: "string",
    valueHint: "FILE",
    description: "Go on with the session in this file, or begin one: never see less than it has",
  },
} as const;

/** Runs `act` with the client, or with its session when a file is named; the file then says where the session stands. */
export async function withSession<T>(
  platform: Platform,
  client: GyreClient,
  path: string | undefined,
  act: (client: GyreClient) => Promise<T>,
): Promise<T> {
  if (path === undefined) return await act(client);
  const before = (await platform.files.readText(path))?.trim();
  const session = client.session(before === "" ? undefined : before);
  try {
    return await act(session);
  } finally {
    const { token } = session;
    // What was done before a failure is seen all the same.
    if (token !== null && token !== before) await platform.files.writeText(path, `${token}\n`);
  }
}
