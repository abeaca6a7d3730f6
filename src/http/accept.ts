/** Multipart is what an Accept without JSON gets, also with none or with any type at all. */
export function prefersJson(accept: string | null): boolean {
  if (accept === null) return false;
  const named = (type: string): number => quality(accept, type);
  return named("application/json") > named("multipart/mixed");
}

/** The q of a media type that is named in full, 0 when it is not. */
function quality(accept: string, type: string): number {
  for (const range of accept.split(",")) {
    const [name, ...parameters] = range.split(";").map((part) => part.trim().toLowerCase());
    if (name !== type) continue;
    const weight = parameters.find((parameter) => parameter.startsWith("q="));
    const value = weight === undefined ? 1 : Number(weight.slice(2));
    return Number.isFinite(value) ? value : 0;
  }
  return 0;
}
