/** The dashboard's only style sheet. Colours of nodes are set by script; everything else is here. */
export const DASHBOARD_STYLE = `
:root {
  color-scheme: light dark;
  --back: light-dark(#fbfaf7, #161513);
  --card: light-dark(#ffffff, #1f1d1a);
  --line: light-dark(#e4e0d7, #35322d);
  --text: light-dark(#26241f, #ece8df);
  --soft: light-dark(#6b675f, #a39e94);
  --accent: light-dark(#0b6e5f, #4fd1b8);
  --danger: light-dark(#b3261e, #ff8a80);
  --warn: light-dark(#9a6700, #e3b341);
  --good: light-dark(#2e7d32, #6fcf75);
  --mono: ui-monospace, "SF Mono", Menlo, Consolas, monospace;
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 78rem; padding: 1.5rem 1.5rem 5rem; background: var(--back); color: var(--text);
  font: 14.5px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.35rem; letter-spacing: -.01em; margin: 0; }
h2 { font-size: .8rem; font-weight: 600; letter-spacing: .06em; text-transform: uppercase; color: var(--soft);
  margin: 2.25rem 0 .75rem; }
h3 { font-size: .95rem; margin: 0; }
a { color: var(--accent); }
code, .mono { font-family: var(--mono); font-size: .92em; }
.soft { color: var(--soft); }
.row { display: flex; flex-wrap: wrap; gap: .6rem; align-items: center; }
.spread { justify-content: space-between; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: .85rem 1rem; }
.skip { position: absolute; left: -99rem; }
.skip:focus { position: static; }
#banner { margin-top: 1rem; border-color: var(--danger); color: var(--danger); }
[hidden] { display: none !important; }

#regions { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); align-items: start; }
.region { display: grid; gap: .6rem; }
.node { display: grid; gap: .2rem; border-left-width: 5px; }
.node dl { display: grid; grid-template-columns: auto 1fr; gap: 0 .75rem; margin: .3rem 0 0; font-size: .9em; }
.node dt { color: var(--soft); } .node dd { margin: 0; overflow-wrap: anywhere; }
.state { font-size: .82rem; font-weight: 600; }
.state.up { color: var(--good); } .state.suspect { color: var(--warn); } .state.down { color: var(--danger); }
.node.down { opacity: .72; }

#ring { display: grid; grid-template-columns: minmax(15rem, 22rem) 1fr; gap: 1.5rem; align-items: center; }
#ring canvas { width: 100%; aspect-ratio: 1; }
#shares { width: 100%; border-collapse: collapse; }
.swatch { display: inline-block; width: .8em; height: .8em; border-radius: 3px; margin-right: .5em; vertical-align: -.05em; }

#data { display: grid; grid-template-columns: minmax(18rem, 2fr) 3fr; gap: 1rem; align-items: start; }
@media (max-width: 52rem) { #data, #ring { grid-template-columns: 1fr; } }
table { border-collapse: collapse; width: 100%; }
th { text-align: left; font-weight: 500; color: var(--soft); font-size: .85em; }
th, td { padding: .28rem .5rem .28rem 0; border-bottom: 1px solid var(--line); }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
#keys .name { all: unset; cursor: pointer; font-family: var(--mono); font-size: .92em; overflow-wrap: anywhere; color: var(--accent); }
#keys tr[aria-selected="true"] { background: color-mix(in srgb, var(--accent) 12%, transparent); }

button, input, select, textarea { font: inherit; color: inherit; background: var(--card); border: 1px solid var(--line);
  border-radius: 7px; padding: .32rem .65rem; }
button { cursor: pointer; } button:hover { border-color: var(--accent); }
button.main { background: var(--accent); border-color: var(--accent); color: var(--back); font-weight: 600; }
button.danger { color: var(--danger); border-color: color-mix(in srgb, var(--danger) 45%, var(--line)); }
:focus-visible, #keys .name:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 4px; }
input[type="search"] { flex: 1 1 8rem; min-width: 6rem; }
textarea { width: 100%; min-height: 9rem; font-family: var(--mono); font-size: .9em; resize: vertical; }
pre { margin: .6rem 0; padding: .7rem .8rem; background: var(--back); border: 1px solid var(--line); border-radius: 7px;
  max-height: 22rem; overflow: auto; white-space: pre-wrap; overflow-wrap: anywhere; font: .88em/1.5 var(--mono); }
.facts { display: grid; grid-template-columns: auto 1fr; gap: 0 .9rem; margin: .5rem 0; font-size: .9em; }
.facts dt { color: var(--soft); } .facts dd { margin: 0; overflow-wrap: anywhere; }
#detail > .row { margin-top: .9rem; }
.sibling { border-left: 3px solid var(--warn); padding-left: .8rem; margin-top: .8rem; }
dialog { background: var(--card); color: inherit; border: 1px solid var(--line); border-radius: 12px; padding: 1.1rem 1.25rem;
  width: min(34rem, 92vw); }
dialog::backdrop { background: rgb(0 0 0 / .45); }
dialog form { display: grid; gap: .7rem; }
label { display: grid; gap: .2rem; font-size: .88em; color: var(--soft); }
label > * { color: var(--text); font-size: 1rem; }
`;
