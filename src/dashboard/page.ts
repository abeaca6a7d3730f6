/**
 * The dashboard: one page, self-contained, so that it works where nothing but this node can be reached, and as a string,
 * so that single binaries carry it. The server puts the hashes of its script and style into the Content-Security-Policy.
 */
import { BROWSER_SCRIPT } from "./browser-script.ts";
import { CLUSTER_SCRIPT } from "./cluster-script.ts";
import { DASHBOARD_STYLE } from "./style.ts";

const BODY = `
<a class="skip" href="#data">Skip to the data</a>
<header class="row spread">
  <h1>Gyre</h1>
  <div id="summary" class="soft" role="status" aria-live="polite">connecting</div>
  <nav class="row"><a href="/docs">API</a> <a href="/metrics">Metrics</a></nav>
</header>
<div id="banner" class="card" role="alert" hidden></div>
<main>
  <h2 id="nodes-title">Nodes</h2>
  <div id="regions" aria-labelledby="nodes-title"></div>

  <h2 id="ring-title">Ring</h2>
  <section id="ring" class="card" aria-labelledby="ring-title">
    <canvas id="circle" width="720" height="720" role="img" aria-label="Partitions around the ring, coloured by owner"></canvas>
    <div>
      <div class="row spread">
        <div id="ring-note" class="soft"></div>
        <label id="policy-label">Policy <select id="policy"></select></label>
      </div>
      <table id="shares"><thead><tr><th>Node</th><th>Region</th><th class="number">Copies of partitions</th><th class="number">Share</th></tr></thead><tbody></tbody></table>
      <p id="partition" class="soft mono" aria-live="polite"></p>
    </div>
  </section>

  <h2 id="data-title">Data</h2>
  <section id="data" aria-labelledby="data-title">
    <div class="card">
      <form id="find" class="row">
        <label class="skip" for="namespace">Namespace</label><select id="namespace"></select>
        <input id="prefix" type="search" placeholder="prefix ( / )" aria-label="Key prefix" autocomplete="off" spellcheck="false">
        <button>List</button>
        <button id="new" type="button">New key</button>
      </form>
      <table id="keys"><thead><tr><th>Key</th><th class="number">Bytes</th><th class="number">Expires</th></tr></thead><tbody></tbody></table>
      <p id="keys-note" class="soft" aria-live="polite"></p>
      <button id="more" type="button" hidden>Load more</button>
    </div>
    <div id="detail" class="card" aria-live="polite"><p class="soft">Choose a key to see its value, its siblings and where it lives.</p></div>
  </section>
</main>
<dialog id="edit" aria-labelledby="edit-title">
  <form method="dialog">
    <h3 id="edit-title"></h3>
    <label>Key <input id="edit-key" class="mono" required autocomplete="off" spellcheck="false"></label>
    <label>Content type <input id="edit-type" class="mono" autocomplete="off" spellcheck="false"></label>
    <label>Value <textarea id="edit-value" spellcheck="false"></textarea></label>
    <label>Seconds to live, 0 for never <input id="edit-ttl" inputmode="decimal" value="0"></label>
    <p id="edit-note" class="soft"></p>
    <div class="row"><button class="main" value="save">Save</button><button value="cancel" formnovalidate>Cancel</button></div>
  </form>
</dialog>
<dialog id="confirm" aria-labelledby="confirm-text">
  <form method="dialog">
    <p id="confirm-text"></p>
    <div class="row"><button class="danger" value="yes">Delete</button><button value="no" autofocus>Keep it</button></div>
  </form>
</dialog>
`;

export function dashboardPage(): {
  readonly html: string;
  readonly script: string;
  readonly style: string;
} {
  const script = `"use strict";\n(() => {\n${CLUSTER_SCRIPT}\n${BROWSER_SCRIPT}\n})();\n`;
  const head = `<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Gyre</title><link rel="icon" href="data:,"><style>${DASHBOARD_STYLE}</style>`;
  const html = `<!doctype html><html lang="en"><head>${head}</head><body>${BODY}<script>${script}</script></body></html>`;
  return { html, script, style: DASHBOARD_STYLE };
}
