/** Values that tell which write made them, and of which every byte follows from it: wrong bytes show. */

/** Mostly small; now and then larger than what a digest read brings along, and larger than what shares a batch. */
const FILL_CHARS = [0, 0, 10, 100, 100, 1_000, 3_000];
const LARGE_CHARS = 300_000;
const ONE_LARGE_IN = 400;

/** `key#write|elements|fill`. Elements are the members of a set key. */
export function textOf(key: string, write: number, elements: readonly number[]): string {
  let state = seedOf(`${key}#${write}`);
  const next = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state;
  };
  const chars = next() % ONE_LARGE_IN === 0 ? LARGE_CHARS : (FILL_CHARS[next() % 7] ?? 0);
  let fill = "";
  while (fill.length < chars) fill += next().toString(36);
  return `${key}#${write}|${elements.join()}|${fill.slice(0, chars)}`;
}

export interface ReadValue {
  readonly write: number;
  readonly elements: readonly number[];
}

/** Null for bytes that no write of the key made. */
export function readValue(key: string, text: string): ReadValue | null {
  const [name = "", members = ""] = text.split("|", 2);
  if (!name.startsWith(`${key}#`)) return null;
  const write = Number(name.slice(key.length + 1));
  const elements = members === "" ? [] : members.split(",").map(Number);
  return textOf(key, write, elements) === text ? { write, elements } : null;
}

function seedOf(text: string): number {
  let hash = 2_166_136_261;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 16_777_619);
  return hash >>> 0;
}
