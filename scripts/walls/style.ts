import type { Plant } from "./plant.ts";

const LINES_OVER_A_SCREEN = 80;
const LINES_OVER_A_FILE = 310;

function planted(wall: string, name: string, says: RegExp, text: string): Plant {
  return { wall, file: `src/core/planted-${name}.ts`, text, tool: "biome", says };
}

/** Files and functions that are too long, and imports in a circle. */
export function sizes(): Plant[] {
  const repeat = (count: number, line: (index: number) => string): string =>
    Array.from({ length: count }, (_, index) => line(index)).join("\n");
  const statements = repeat(LINES_OVER_A_SCREEN, (index) => `  n += ${index};`);
  const cycle = (one: string, other: string): Plant => ({
    wall: `an import cycle, seen from ${one}`,
    file: `test/planted-cycle-${one}.ts`,
    text: `import type { Planted as Other } from "./planted-cycle-${other}.ts";\n\nexport type Planted = Other | "${one}";\n`,
    tool: "biome",
    says: /noImportCycles/,
  });
  return [
    cycle("a", "b"),
    cycle("b", "a"),
    planted(
      "a function longer than a screen",
      "long-function",
      /noExcessiveLinesPerFunction/,
      `export function long(): number {\n  let n = 0;\n${statements}\n  return n;\n}\n`,
    ),
    planted(
      "a file longer than 300 lines",
      "long-file",
      /noExcessiveLinesPerFile/,
      `${repeat(LINES_OVER_A_FILE, (index) => `export const line${index} = ${index};`)}\n`,
    ),
  ];
}

const FLOATING = `async function work(): Promise<void> {
  await Promise.resolve();
}

export function act(): void {
  work();
}
`;

const FORGETFUL_SWITCH = `type Kind = "a" | "b";

export function act(kind: Kind): number {
  switch (kind) {
    case "a":
      return 1;
  }
  return 0;
}
`;

const LOST_CAUSE = `export function attempt(act: () => void): void {
  try {
    act();
  } catch (error) {
    throw new Error("Cannot act");
  }
}
`;

/** Forms of the language that the house does without. */
export function forms(): Plant[] {
  return [
    planted("any", "any", /noExplicitAny/, "export const f = (x: any): unknown => x;\n"),
    planted("!", "bang", /noNonNullAssertion/, "export const f = (x: 1 | null): 1 => x!;\n"),
    planted("a default export", "default", /noDefaultExport/, "const x = 1;\nexport default x;\n"),
    planted("a barrel", "barrel", /noBarrelFile|noReExportAll/, `export * from "./ids.ts";\n`),
    planted("a floating promise", "floating", /noFloatingPromises/, FLOATING),
    planted("a case forgotten", "switch", /useExhaustiveSwitchCases/, FORGETFUL_SWITCH),
    planted("a cause lost", "cause", /useErrorCause/, LOST_CAUSE),
    planted("an enum", "enum", /noEnum/, "export enum Planted {\n  A = 1,\n}\n"),
    planted(
      "a capital in a file's name",
      "Name",
      /useFilenamingConvention/,
      "export const x = 1;\n",
    ),
    planted(
      "an import without its ending",
      "ending",
      /useImportExtensions/,
      `import type { NodeId } from "./ids";\n\nexport type Planted = NodeId;\n`,
    ),
    planted("text in another format", "format", /format/, "export const x = {a:1}\n"),
  ];
}

/** Time, chance and mathematics that differ from run to run or from runtime to runtime. */
export function chance(): Plant[] {
  const uses: readonly [string, RegExp, string][] = [
    ["Date", /noRestrictedGlobals/, "Date.now()"],
    ["Math.random", /noJsRestrictedProperties/, "Math.random()"],
    ["localeCompare", /noJsRestrictedProperties/, `"a".localeCompare("b")`],
    ...["exp", "log", "log10", "log1p", "pow", "tanh", "cbrt", "sin", "log2", "hypot"].map(
      (name): [string, RegExp, string] => [
        `Math.${name}`,
        /noJsRestrictedProperties/,
        `Math.${name}(1, 2)`,
      ],
    ),
  ];
  return uses.map(([name, says, use]) =>
    planted(
      `core uses ${name}`,
      name.toLowerCase().replace(".", "-"),
      says,
      `export const f = (): unknown => ${use};\n`,
    ),
  );
}
