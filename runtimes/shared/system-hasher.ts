import { createBLAKE3, createXXHash64 } from "hash-wasm";
import type { Env } from "../../src/env/env.ts";

const DIGEST_BITS = 128;

/** What is used of Bun: its own xxHash64 takes 35 ns for a key, WebAssembly 185. */
interface BunApi {
  readonly Bun?: { readonly hash: { readonly xxHash64: (bytes: Uint8Array) => bigint } };
}

/**
 * xxHash64 with seed 0 and BLAKE3: equal on all runtimes. In WebAssembly one state of each is shared by all calls; that is
 * safe because init, update and digest are synchronous and nothing runs between them.
 */
export async function createSystemHasher(): Promise<Env["hasher"]> {
  const blake3 = await createBLAKE3(DIGEST_BITS);
  return {
    hash64: bunHash64() ?? (await wasmHash64()),
    hash128: (bytes) => blake3.init().update(withBuffer(bytes)).digest("binary"),
  };
}

async function wasmHash64(): Promise<Env["hasher"]["hash64"]> {
  const state = await createXXHash64();
  return (bytes) => {
    const digest = state.init().update(withBuffer(bytes)).digest("binary");
    return { hi: word(digest, 0), lo: word(digest, 4) };
  };
}

function bunHash64(): Env["hasher"]["hash64"] | null {
  const { Bun } = globalThis as unknown as BunApi;
  if (Bun === undefined) return null;
  const { xxHash64 } = Bun.hash;
  const halves = new DataView(new ArrayBuffer(8));
  return (bytes) => {
    halves.setBigUint64(0, xxHash64(bytes));
    return { hi: halves.getUint32(0), lo: halves.getUint32(4) };
  };
}

/**
 * A short array lives in the heap of V8 and of JavaScriptCore and has no buffer until somebody asks for it, as hash-wasm
 * does: then one is allocated outside, and later found and freed by the garbage collector. That costs more than the
 * hashing (550 to 220 ns for a key on Node, 340 to 180 on Bun), so short inputs are copied into an array that has one.
 */
const SCRATCH_BYTES = 512;
const scratch = new Uint8Array(new ArrayBuffer(SCRATCH_BYTES));
const views: Uint8Array[] = [];
for (let length = 0; length <= SCRATCH_BYTES; length++) views.push(scratch.subarray(0, length));

function withBuffer(bytes: Uint8Array): Uint8Array {
  const view = views[bytes.length];
  if (view === undefined) return bytes;
  scratch.set(bytes);
  return view;
}

/** The canonical form of xxHash64 is big-endian. */
function word(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] as number) << 24) |
      ((bytes[at + 1] as number) << 16) |
      ((bytes[at + 2] as number) << 8) |
      (bytes[at + 3] as number)) >>>
    0
  );
}
