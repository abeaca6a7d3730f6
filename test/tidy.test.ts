/** The house rules that neither the compiler nor the linter knows. `npm run walls` plants a violation of each. */
import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { transformSync } from "esbuild";

const ROOT = resolve(import.meta.dirname, "..");
const NOT_OURS = new Set(["node_modules", ".git", ".cache", "dist", "data"]);

/** Paths relative to the root, with slashes, of all files that belong to the project. */
const FILES = walk(ROOT).map((path) => relative(ROOT, path).split(sep).join("/"));
const SOURCES = FILES.filter((path) => /^src\/.*\.ts$/.test(path));
const TESTS = FILES.filter((path) => /^test\/.*\.ts$/.test(path));
const PAGES = FILES.filter((path) => path.endsWith(".md"));
const MANIFEST = JSON.parse(text("package.json"));
const LOCK = JSON.parse(text("package-lock.json"));

function walk(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (NOT_OURS.has(entry.name)) return [];
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return walk(path);
    return entry.isFile() ? [path] : [];
  });
}

function text(path: string): string {
  return readFileSync(join(ROOT, path), "utf8");
}

/** JavaScript without types, comments and the contents of strings: what is left is what runs. */
function running(path: string): string {
  const { code } = transformSync(text(path), {
    loader: "ts",
    legalComments: "none",
    minifyWhitespace: true,
  });
  return code.replaceAll(/"(?:[^"\\\n]|\\.)*"/g, '""').replaceAll(/`(?:[^`\\]|\\.)*`/g, "``");
}

/** The project's files that a file imports, relative to the root. */
function importsOf(path: string): string[] {
  return [...text(path).matchAll(/from "(\.[^"]+)"|import\("(\.[^"]+)"\)/g)].map((match) =>
    join(dirname(path), match[1] ?? match[2] ?? "")
      .split(sep)
      .join("/"),
  );
}

/** The files and all that they import, directly or not. */
function closure(files: readonly string[]): ReadonlySet<string> {
  const seen = new Set(files);
  for (const path of seen) {
    if (!FILES.includes(path)) continue;
    for (const imported of importsOf(path)) seen.add(imported);
  }
  return seen;
}

/** Every match of the pattern as `file:line: text`. */
function found(paths: readonly string[], pattern: RegExp): string[] {
  return paths.flatMap((path) =>
    text(path)
      .split("\n")
      .flatMap((line, index) =>
        pattern.test(line) ? [`${path}:${index + 1}: ${line.trim()}`] : [],
      ),
  );
}

describe("source", () => {
  test("each file with a branch, a loop or a return is reached by a test of its floor", () => {
    // How much of it the test runs is measured by scripts/coverage.ts.
    const reached = new Map<string, ReadonlySet<string>>();
    const reachedBy = (floor: string): ReadonlySet<string> => {
      const known = reached.get(floor);
      if (known !== undefined) return known;
      const kinds = `^test/(?:${floor}|properties|contract|golden)/`;
      const files = closure(TESTS.filter((path) => new RegExp(kinds).test(path)));
      reached.set(floor, files);
      return files;
    };
    const untested = SOURCES.filter((path) => {
      const [, second = "", third] = path.split("/");
      return !reachedBy(third === undefined ? "[^/]+" : second).has(path);
    }).filter((path) => /\b(?:if|for|while|switch|return)\b|=>/.test(running(path)));
    expect(untested).toEqual([]);
  });

  test("no power below runtimes/ but of a literal: its last bits differ between runtimes", () => {
    const deterministic = SOURCES.filter((path) => !/^src\/(?:client|cli|dashboard)\//.test(path));
    const powers = (path: string) => running(path).replaceAll(/\b\d+\*\*\d+/g, "");
    expect(deterministic.filter((path) => powers(path).includes("**"))).toEqual([]);
  });

  test("every limit says what it bounds", () => {
    const bare = SOURCES.filter((path) => /(?:^|[/-])limits\.ts$/.test(path)).flatMap((path) => {
      const lines = text(path).split("\n");
      return lines.flatMap((line, index) =>
        /^export const \w+/.test(line) && !/\*\/\s*$/.test(lines[index - 1] ?? "")
          ? [`${path}:${index + 1}: ${line}`]
          : [],
      );
    });
    expect(bare).toEqual([]);
  });

  test("no checker is silenced but Biome with a reason", () => {
    const code = FILES.filter((path) =>
      /^(?:src|runtimes|test|bench|scripts|bin)\/.*\.(?:ts|mjs)$/.test(path),
    );
    expect(found(code, /@ts-(?:ignore|expect-error|nocheck)\b/)).toEqual([]);
  });
});

describe("tests", () => {
  test("none is left out or runs alone", () => {
    // A runtime that lacks something is skipped by skipIf, which names the condition.
    expect(found(TESTS, /\b(?:describe|test|it)\.(?:only|skip|todo|failing)\(/)).toEqual([]);
  });

  test("none is tried again after it failed", () => {
    expect(found(TESTS, /\bretry:\s*[1-9]/)).toEqual([]);
  });
});

describe("text", () => {
  const written = FILES.filter(
    (path) => /\.(?:ts|mjs|md|json|ya?ml|service|sh)$/.test(path) && path !== "package-lock.json",
  );

  test("nothing is left for later in a comment", () => {
    expect(
      found(written, new RegExp(`\\b(?:${["TO", "DO|FIX", "ME|X", "XX|HA", "CK"].join("")})\\b`)),
    ).toEqual([]);
  });

  test("no path of a developer's machine", () => {
    expect(
      found(
        written,
        new RegExp(`(?:^|[^\\w.])/(?:${["wo", "rk|ro", "ot|Us", "ers|ho", "me"].join("")})/`),
      ),
    ).toEqual([]);
  });

  test("links between pages resolve, headings included", () => {
    expect(PAGES.flatMap(brokenLinks)).toEqual([]);
  });

  test("files that a page names exist", () => {
    const whole = /^(?:src|runtimes|test|bench|scripts|bin|deploy|docs)\/[\w./-]+\.\w+$/;
    const short = /^(?:core|env|storage|cluster|replication|http|client|cli)\/[a-z0-9-]+$/;
    const exists = (name: string) =>
      whole.test(name) ? FILES.includes(name) : FILES.includes(`src/${name}.ts`);
    const missing = PAGES.filter((page) => page !== "CHANGELOG.md").flatMap((page) =>
      [...text(page).matchAll(/`([^`\n]+)`/g)]
        .map((match) => match[1] ?? "")
        .filter((name) => (whole.test(name) || short.test(name)) && !exists(name))
        .map((name) => `${page}: ${name}`),
    );
    expect(missing).toEqual([]);
  });

  test("every page can be reached from the README", () => {
    const seen = new Set<string>();
    const queue = ["README.md"];
    for (let page = queue.pop(); page !== undefined; page = queue.pop()) {
      if (seen.has(page)) continue;
      seen.add(page);
      queue.push(
        ...linksOf(page)
          .map((link) => link.path)
          .filter((path) => path.endsWith(".md") && existsSync(join(ROOT, path))),
      );
    }
    expect(PAGES.filter((page) => !seen.has(page))).toEqual([]);
  });

  test("decisions are numbered once and fit a page", () => {
    const pages = PAGES.filter((path) => path.startsWith("docs/decisions/"));
    expect(pages.filter((path) => !/^docs\/decisions\/\d{4}-[a-z0-9-]+\.md$/.test(path))).toEqual(
      [],
    );
    const numbers = pages.map((path) => path.slice("docs/decisions/".length).slice(0, 4));
    expect(numbers.filter((number, index) => numbers.indexOf(number) !== index)).toEqual([]);
    expect(pages.filter((path) => text(path).split("\n").length > 100)).toEqual([]);
  });
});

interface Link {
  readonly written: string;
  /** Relative to the root. */
  readonly path: string;
  readonly heading: string | undefined;
}

/** Links of a page to files of the project; code spans and web addresses are none. */
function linksOf(page: string): Link[] {
  const prose = text(page)
    .replaceAll(/```[\s\S]*?```/g, "")
    .replaceAll(/`[^`\n]*`/g, "");
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)].flatMap((match) => {
    const written = match[1] ?? "";
    if (/^[a-z][a-z+.-]*:/.test(written)) return [];
    const [file = "", heading] = written.split("#");
    const path = file === "" ? page : join(dirname(page), file).split(sep).join("/");
    return [{ written, path, heading }];
  });
}

function brokenLinks(page: string): string[] {
  return linksOf(page)
    .filter(({ path, heading }) => {
      if (!existsSync(join(ROOT, path))) return true;
      return heading !== undefined && !headings(path).includes(heading);
    })
    .map(({ written }) => `${page}: ${written}`);
}

/** As the forges make them: lower case, spaces to dashes, punctuation dropped. */
function headings(page: string): string[] {
  return [...text(page).matchAll(/^#+ (.+)$/gm)].map((match) =>
    (match[1] ?? "")
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

describe("dependencies", () => {
  const direct: Record<string, string> = { ...MANIFEST.dependencies, ...MANIFEST.devDependencies };

  test("each is pinned to one exact version", () => {
    expect(
      Object.entries(direct).filter(([, version]) => !/^\d+\.\d+\.\d+(?:-[\w.]+)?$/.test(version)),
    ).toEqual([]);
  });

  test("docs/dependencies.md names each with its version and a reason, and no other", () => {
    const rows = [...text("docs/dependencies.md").matchAll(/^\| `([^`]+)` \| (\S+) \| (.+?) \|/gm)];
    const named = Object.fromEntries(rows.map(([, name = "", version = ""]) => [name, version]));
    expect(named).toEqual(direct);
    expect(
      rows.filter(([, , , reason = ""]) => reason.trim().length < 20).map(([, name]) => name),
    ).toEqual([]);
  });

  test("the lock names no registry", () => {
    expect(
      found(
        ["package-lock.json"],
        /https?:\/\/(?!opencollective|github|tidelift|www\.|paypal|ko-fi|buymeacoffee|patreon|feross)[^"]*\.tgz/,
      ),
    ).toEqual([]);
    expect(found(["package-lock.json"], /"resolved":/)).toEqual([]);
  });

  test("the lock lists optional packages of every platform", () => {
    // Written beside a filled node_modules, npm leaves out those of other platforms, and then `npm ci` refuses the lock.
    const packages: Record<string, { optionalDependencies?: Record<string, string> }> =
      LOCK.packages;
    const missing = Object.entries(packages).flatMap(([path, entry]) =>
      Object.keys(entry.optionalDependencies ?? {}).filter(
        (name) =>
          packages[`node_modules/${name}`] === undefined &&
          packages[`${path}/node_modules/${name}`] === undefined,
      ),
    );
    expect(missing).toEqual([]);
  });

  test("every script of package.json exists", () => {
    const scripts: Record<string, string> = MANIFEST.scripts;
    const missing = Object.values(scripts)
      .flatMap((command) =>
        [...command.matchAll(/\bnode (\S+\.(?:ts|mjs))/g)].map((match) => match[1] ?? ""),
      )
      .concat(Object.values<string>(MANIFEST.bin ?? {}))
      .filter((path) => !existsSync(join(ROOT, path)));
    expect(missing).toEqual([]);
  });
});
