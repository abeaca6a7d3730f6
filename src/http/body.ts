import type { Call } from "./call.ts";
import { badRequest, HttpProblem } from "./problem.ts";

/** Bodies up to this size come in a packet or a few: the adapter's own time limits are enough for them. */
const UNTIMED_BYTES_MAX = 64 * 1024;
const DECIMAL = /^\d{1,15}$/;

/**
 * Reads the whole body. A declared length beyond the limit is refused before a byte is read; without one the bytes are
 * counted as they stream in. A body shorter than declared is refused: storing a torn value would be worse than nothing.
 * @throws HttpProblem 400, 408, 413 or 415.
 */
export async function readBody(call: Call, bytesMax: number): Promise<Uint8Array> {
  const { headers } = call;
  const encoding = headers.get("content-encoding");
  if (encoding !== null && encoding.toLowerCase() !== "identity") {
    throw new HttpProblem(
      "unsupported_media_type",
      `Cannot take Content-Encoding "${encoding}": send the bytes as they are, they are stored and served unchanged`,
    );
  }
  const declared = declaredLength(headers.get("content-length"));
  if (declared !== null && declared > bytesMax) throw tooLarge(bytesMax);
  if (declared !== null && declared <= UNTIMED_BYTES_MAX) {
    let bytes: ArrayBuffer;
    try {
      bytes = await call.request.arrayBuffer();
    } catch (cause) {
      throw notArrived(cause);
    }
    return checkLength(new Uint8Array(bytes), declared, bytesMax);
  }
  return checkLength(await readStream(call, declared ?? 0, bytesMax), declared, bytesMax);
}

function declaredLength(header: string | null): number | null {
  if (header === null) return null;
  if (!DECIMAL.test(header)) throw badRequest(`Cannot read Content-Length: ${header}`);
  return Number(header);
}

function checkLength(bytes: Uint8Array, declared: number | null, bytesMax: number): Uint8Array {
  if (bytes.length > bytesMax) throw tooLarge(bytesMax);
  if (declared !== null && bytes.length !== declared) {
    throw badRequest(
      `The body ended after ${bytes.length} of ${declared} bytes: nothing was stored`,
    );
  }
  return bytes;
}

function tooLarge(bytesMax: number): HttpProblem {
  return new HttpProblem("payload_too_large", `The body is larger than ${bytesMax} bytes`, {
    extra: { bytesMax },
  });
}

/** A connection that breaks in the middle of a body is the client's doing, not a bug here. */
function notArrived(cause: unknown): HttpProblem {
  return badRequest(`The body did not arrive: ${cause instanceof Error ? cause.message : cause}`);
}

async function readStream(call: Call, sizeHint: number, bytesMax: number): Promise<Uint8Array> {
  const { body } = call.request;
  if (body === null) return new Uint8Array(0);
  const reader = body.getReader();
  let late = false;
  const timer = call.env.clock.after(call.bodyTimeoutMs, () => {
    late = true;
    // Ends the pending read; what the other side makes of the cancellation does not matter any more.
    reader.cancel("too slow").catch(() => undefined);
  });
  try {
    return await collect(reader, sizeHint, bytesMax, () => late);
  } finally {
    timer.cancel();
  }
}

async function collect(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  sizeHint: number,
  bytesMax: number,
  isLate: () => boolean,
): Promise<Uint8Array> {
  let bytes = new Uint8Array(sizeHint);
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read().catch((cause: unknown) => {
      throw notArrived(cause);
    });
    if (isLate()) {
      throw new HttpProblem(
        "request_timeout",
        `The body did not arrive in time: ${length} bytes so far`,
      );
    }
    if (done) return length === bytes.length ? bytes : bytes.slice(0, length);
    if (length + value.length > bytesMax) {
      reader.cancel("too large").catch(() => undefined);
      throw tooLarge(bytesMax);
    }
    if (length + value.length > bytes.length) {
      const grown = new Uint8Array(Math.min(bytesMax, Math.max(length + value.length, 2 * length)));
      grown.set(bytes.subarray(0, length));
      bytes = grown;
    }
    bytes.set(value, length);
    length += value.length;
  }
}
