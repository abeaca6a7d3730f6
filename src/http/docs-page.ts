/** /docs: the OpenAPI document as one page for people, rendered here, so that it needs no script and no other server. */
import type { Json } from "./openapi-parts.ts";
import { PROBLEM_CODES, type ProblemCode } from "./problem.ts";

const STYLE = `
:root { color-scheme: light dark; --line: light-dark(#ddd9d0, #34322e); --soft: light-dark(#6b675f, #a39e94);
  --accent: light-dark(#0b6e5f, #4fd1b8); --back: light-dark(#fbfaf7, #171613); }
body { font: 15px/1.55 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto 6rem; padding: 0 1.25rem;
  background: var(--back); }
h1 { font-size: 1.5rem; } h2 { margin-top: 2.5rem; font-size: 1.1rem; color: var(--soft); }
details { border-top: 1px solid var(--line); padding: .55rem 0; } summary { cursor: pointer; }
code, .path { font-family: ui-monospace, monospace; font-size: .92em; }
.verb { display: inline-block; width: 4.2rem; font-weight: 600; color: var(--accent); }
.soft { color: var(--soft); } a { color: var(--accent); }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); }
th { font-weight: 500; color: var(--soft); } :target { background: color-mix(in srgb, var(--accent) 18%, transparent); }
`;

export function docsPage(document: Json): { html: string; script: string; style: string } {
  const info = document["info"] as Json;
  const components = document["components"] as Json;
  let body = `<h1>${escapeHtml(String(info["title"]))} <span class="soft">${escapeHtml(String(info["version"]))}</span></h1>`;
  body += `<p>${escapeHtml(String(info["summary"]))} ${marked(String(info["description"]))} The same for tools: <a href="/openapi.json">/openapi.json</a>. The <a href="/">dashboard</a>.</p>`;
  let tag = "";
  for (const [path, item] of Object.entries(document["paths"] as Record<string, Json>)) {
    for (const [verb, value] of Object.entries(item)) {
      const operation = value as Json;
      const [own] = operation["tags"] as string[];
      if (own !== undefined && own !== tag) {
        tag = own;
        body += `<h2>${escapeHtml(tag)}</h2>`;
      }
      body += operationHtml(verb, path, operation, components);
    }
  }
  body += problemsHtml();
  const head = `<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Gyre API</title><style>${STYLE}</style>`;
  return {
    html: `<!doctype html><html lang="en"><head>${head}</head><body>${body}</body></html>`,
    script: "",
    style: STYLE,
  };
}

function operationHtml(verb: string, path: string, operation: Json, components: Json): string {
  const description = operation["description"];
  const parameters = (operation["parameters"] as Json[]).map((entry) =>
    resolved(entry, components),
  );
  const responses = Object.entries(operation["responses"] as Record<string, Json>).map(
    ([status, entry]): readonly string[] => [
      status,
      marked(String(resolved(entry, components)["description"])),
    ],
  );
  const rows = parameters.map((parameter): readonly string[] => [
    `<code>${escapeHtml(String(parameter["name"]))}</code>`,
    escapeHtml(String(parameter["in"])),
    marked(String(parameter["description"])),
  ]);
  let html = `<details id="${escapeHtml(String(operation["operationId"]))}"><summary><span class="verb">${verb.toUpperCase()}</span><span class="path">${escapeHtml(path)}</span> <span class="soft">${escapeHtml(String(operation["summary"]))}</span></summary>`;
  if (typeof description === "string") html += `<p>${marked(description)}</p>`;
  if (rows.length > 0) html += table(["Parameter", "In", "Meaning"], rows);
  return `${html}${table(["Status", "Meaning"], responses)}</details>`;
}

/** The targets that the `type` of a problem links to. */
function problemsHtml(): string {
  let rows = "";
  for (const code of Object.keys(PROBLEM_CODES) as ProblemCode[]) {
    const { status, title } = PROBLEM_CODES[code];
    rows += `<tr id="${code}"><td><code>${code}</code></td><td>${status}</td><td>${marked(title)}</td></tr>`;
  }
  return `<h2>Problems</h2><table><tr><th>Code</th><th>Status</th><th>Meaning</th></tr>${rows}</table>`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = (tag: string, row: readonly string[]): string =>
    `<tr>${row.map((cell) => `<${tag}>${cell}</${tag}>`).join("")}</tr>`;
  return `<table>${cells("th", head)}${rows.map((row) => cells("td", row)).join("")}</table>`;
}

function resolved(entry: Json, components: Json): Json {
  const target = entry["$ref"];
  if (typeof target !== "string") return entry;
  const [kind = "", name = ""] = target.split("/").slice(2);
  return (components[kind] as Record<string, Json>)[name] ?? {};
}

/** Text with `code` in backticks. */
function marked(source: string): string {
  return escapeHtml(source).replaceAll(/`([^`]+)`/g, "<code>$1</code>");
}

function escapeHtml(source: string): string {
  return source
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}
