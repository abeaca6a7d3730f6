/** The value types of the configuration: each turns text (flag, environment) or JSON (file) into a checked value. */
import { z } from "zod";

/** Where a listener is bound. `host` is without the brackets of an IPv6 address. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

const BYTE_UNITS: Readonly<Record<string, number>> = {
  "": 1,
  B: 1,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
};

export const text = z.string().min(1);

/** A whole number, also as text, because flags and environment variables are text. */
export function wholeNumber(least: number, most: number): z.ZodType<number> {
  return z
    .union([
      z.number(),
      z
        .string()
        .regex(/^\d{1,15}$/)
        .transform(Number),
    ])
    .pipe(z.number().int().min(least).max(most));
}

/** A number with or without a fraction, also as text. */
export function decimalNumber(least: number, most: number): z.ZodType<number> {
  return z
    .union([
      z.number(),
      z
        .string()
        .regex(/^\d{1,15}(\.\d{1,9})?$/)
        .transform(Number),
    ])
    .pipe(z.number().min(least).max(most));
}

export function oneOf<const T extends string>(...choices: readonly [T, ...T[]]): z.ZodType<T> {
  return z.enum(choices);
}

/** A flag without a value is true; the environment says `true`, `false`, `1` or `0`. */
export const yesOrNo: z.ZodType<boolean> = z.union([
  z.boolean(),
  z.enum(["true", "1"]).transform(() => true),
  z.enum(["false", "0"]).transform(() => false),
]);

/** Bytes as a number or as text with a unit: `64MiB`, `1GiB`, `1048576`. */
export function byteCount(least: number, most: number): z.ZodType<number> {
  const withUnit = z
    .string()
    .regex(/^\d{1,15}(B|KiB|MiB|GiB)?$/)
    .transform((value) => {
      const digits = Number.parseInt(value, 10);
      return digits * (BYTE_UNITS[value.replace(/^\d+/, "")] ?? Number.NaN);
    });
  return z.union([z.number(), withUnit]).pipe(z.number().int().min(least).max(most));
}

/** The base address of a listener: scheme, host and perhaps port, nothing behind them. Kept without the last slash. */
export const baseUrl: z.ZodType<string> = z.string().transform((value, context) => {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  const plain =
    url !== undefined &&
    (url.protocol === "http:" || url.protocol === "https:") &&
    url.username === "" &&
    url.pathname === "/" &&
    url.search === "" &&
    url.hash === "";
  if (!plain) {
    context.addIssue({ code: "custom", message: "not a base address" });
    return z.NEVER;
  }
  return url.origin;
});

/** `a,b` or a JSON array; empty parts are errors, not nothing. */
export function listOf<T>(item: z.ZodType<T>): z.ZodType<T[]> {
  return z
    .union([z.array(z.unknown()), z.string().transform((value) => value.split(","))])
    .pipe(z.array(item));
}

/** What the `Origin` header of a browser may be. */
export const webOrigin: z.ZodType<string> = z.union([z.literal("*"), baseUrl]);

/** `HOST:PORT`, `[IPv6]:PORT`. */
export const listenAddress: z.ZodType<ListenAddress> = z.string().transform((value, context) => {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})$/.exec(value);
  const port = Number(match?.[3]);
  if (match === null || port < 1 || port > 65_535) {
    context.addIssue({ code: "custom", message: "not HOST:PORT" });
    return z.NEVER;
  }
  return { host: match[1] ?? match[2] ?? "", port };
});

/** `URL=REGION,URL=REGION`: which addresses lie in which region, for the artificial delay of `gyre dev --wan`. */
export const regionsByUrl: z.ZodType<ReadonlyMap<string, string>> = z
  .string()
  .transform((value, context) => {
    const regions = new Map<string, string>();
    for (const part of value.split(",")) {
      const at = part.lastIndexOf("=");
      const url = baseUrl.safeParse(part.slice(0, Math.max(0, at)));
      if (!url.success) {
        context.addIssue({ code: "custom", message: "not URL=REGION" });
        return z.NEVER;
      }
      regions.set(url.data, part.slice(at + 1));
    }
    return regions;
  });

/** True for addresses that only this machine can reach. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}

/** The address that stands for all interfaces: fine to listen on, useless to advertise. */
export function isWildcard(host: string): boolean {
  return host === "0.0.0.0" || /^[0:]+$/.test(host);
}

export function urlOf(address: ListenAddress): string {
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  return `http://${host}:${address.port}`;
}
