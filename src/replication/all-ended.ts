/** As Promise.all, but it fails only when all have ended: nothing of what has failed goes on behind the caller's back. */
export async function allEnded<T>(tasks: readonly Promise<T>[]): Promise<T[]> {
  return (await Promise.allSettled(tasks)).map((result) => {
    if (result.status === "rejected") throw result.reason;
    return result.value;
  });
}
