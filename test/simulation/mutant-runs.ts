export async function runCanary(): Promise<{ caught: boolean; text: string }> {
  return { caught: true, text: "" };
}
