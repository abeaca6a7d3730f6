/** The head of a request as transport-net.ts writes it. */

export interface RequestHead {
  readonly path: string;
  readonly auth: string;
  readonly bodyBytes: number;
  readonly keepsConnection: boolean;
}

/** The head of a request, which ends with CRLF, or the status that refuses it. */
export function parseHead(text: string, bodyBytesMax: number): RequestHead | number {
  const line = /^([A-Z]+) (\/[!-~]*) HTTP\/1\.1\r\n/.exec(text);
  if (line === null) return 400;
  if (line[1] !== "POST") return 405;
  if (/\r\ntransfer-encoding:/i.test(text)) return 411;
  const lengths = text.match(/\r\ncontent-length:[^\r]*/gi) ?? [];
  if (lengths.length > 1) return 400;
  const length = lengths[0] === undefined ? "0" : /: *(\d{1,15}) *$/.exec(lengths[0])?.[1];
  if (length === undefined) return 400;
  if (Number(length) > bodyBytesMax) return 413;
  return {
    path: line[2] ?? "",
    auth: /\r\ngyre-auth: *([!-~]*) *(?=\r\n)/i.exec(text)?.[1] ?? "",
    bodyBytes: Number(length),
    keepsConnection: !/\r\nconnection: *close *(?=\r\n)/i.test(text),
  };
}
