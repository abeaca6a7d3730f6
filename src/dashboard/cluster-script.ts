/**
 * The upper half of the dashboard's script: nodes and ring. Plain JavaScript in a string: it is never compiled, so that
 * its hash is known when the server starts. Text reaches the page through textContent only.
 */
export const CLUSTER_SCRIPT = `
const $ = (id) => document.getElementById(id);
const el = (tag, className, text) => {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
};
const facts = (className, pairs) => {
  const list = el("dl", className);
  for (const [name, value] of pairs) list.append(el("dt", "", name), el("dd", "", value));
  return list;
};
const number = (value) => value.toLocaleString("en");
const bytes = (value) => {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) { value /= 1024; unit++; }
  return (unit === 0 ? value : value.toFixed(1)) + " " + units[unit];
};
const complain = (text) => { $("banner").textContent = text; $("banner").hidden = text === ""; };

const POLL_MS = 2000;
let nodes = [];
let ring = null;
let layoutVersion = -1;

// Neighbouring indexes get far hues: the golden angle never comes back near where it was.
const colourOf = (id) => {
  const index = nodes.findIndex((node) => node.id === id);
  return index === -1 ? "gray" : "oklch(0.68 0.14 " + ((index * 137.5) % 360).toFixed(1) + ")";
};
const swatch = (id) => {
  const mark = el("span", "swatch");
  mark.style.setProperty("background", colourOf(id));
  return mark;
};

const nodeCard = (node, self) => {
  const card = el("article", "card node " + node.state);
  card.style.setProperty("border-left-color", colourOf(node.id));
  const head = el("div", "row spread");
  const name = el("h3", "mono", node.id.slice(0, 8));
  name.title = node.id;
  if (node.id === self) name.append(el("span", "soft", " (this node)"));
  head.append(name, el("span", "state " + node.state, node.inLayout ? node.state : node.state + ", joining"));
  const rows = [
    ["zone", node.zone],
    ["keys", number(node.keys) + ", " + bytes(node.bytes)],
    ["role", node.role],
    ["started", number(node.incarnation) + (node.incarnation === 1 ? " time" : " times")],
  ];
  if (node.hints.count > 0) rows.push(["hints", number(node.hints.count) + ", " + bytes(node.hints.bytes)]);
  if (node.id !== self) rows.push(["round trip", node.roundTripMs + " ms"]);
  card.append(head, facts("", rows));
  if (/^https?:/.test(node.url)) {
    const link = el("a", "mono", node.url);
    link.href = node.url;
    card.append(link);
  }
  return card;
};

const drawNodes = (cluster) => {
  const regions = new Map();
  for (const node of nodes) regions.set(node.region, [...(regions.get(node.region) ?? []), node]);
  const columns = [...regions].sort(([a], [b]) => (a < b ? -1 : 1)).map(([region, members]) => {
    const column = el("section", "region");
    const up = members.filter((node) => node.state === "up").length;
    const title = el("h3", "", region + " ");
    title.append(el("span", "soft", up + " of " + members.length + " up"));
    column.append(title, ...members.map((node) => nodeCard(node, cluster.self)));
    return column;
  });
  $("regions").replaceChildren(...columns);
};

const drawRing = () => {
  if (ring === null) return;
  const policy = ring.policies[$("policy").value] ?? Object.values(ring.policies)[0];
  const canvas = $("circle");
  const pen = canvas.getContext("2d");
  const middle = canvas.width / 2;
  const copies = Math.max(1, ...policy.owners.map((owners) => owners.length));
  const width = (middle * 0.55) / copies;
  pen.clearRect(0, 0, canvas.width, canvas.height);
  const count = ring.partitions;
  const angle = (partition) => (partition / count) * 2 * Math.PI - Math.PI / 2;
  for (let copy = 0; copy < copies; copy++) {
    const radius = middle - 8 - width * (copy + 0.5);
    pen.lineWidth = width - 4;
    for (let from = 0; from < count; ) {
      const owner = policy.owners[from][copy];
      let to = from + 1;
      while (to < count && policy.owners[to][copy] === owner) to++;
      if (owner !== undefined) {
        pen.beginPath();
        pen.strokeStyle = colourOf(ring.nodes[owner]);
        pen.arc(middle, middle, radius, angle(from), angle(to));
        pen.stroke();
      }
      from = to;
    }
  }
  drawShares(policy);
  $("ring-note").textContent = number(count) + " partitions, placement " + JSON.stringify(policy.placement) + "; the outer ring is the first owner";
};

const drawShares = (policy) => {
  const held = new Map(ring.nodes.map((id) => [id, 0]));
  let all = 0;
  for (const owners of policy.owners) {
    for (const owner of owners) { held.set(ring.nodes[owner], held.get(ring.nodes[owner]) + 1); all++; }
  }
  const rows = nodes.filter((node) => held.has(node.id)).map((node) => {
    const row = el("tr");
    const name = el("td", "mono");
    name.append(swatch(node.id), node.id.slice(0, 8));
    const share = all === 0 ? 0 : (held.get(node.id) / all) * 100;
    row.append(name, el("td", "", node.region), el("td", "number", number(held.get(node.id))), el("td", "number", share.toFixed(1) + " %"));
    return row;
  });
  $("shares").tBodies[0].replaceChildren(...rows);
};

const showPartition = (event) => {
  if (ring === null) return;
  const box = $("circle").getBoundingClientRect();
  const turn = Math.atan2(event.clientY - box.top - box.height / 2, event.clientX - box.left - box.width / 2) + Math.PI / 2;
  const partition = Math.floor((((turn / (2 * Math.PI)) + 1) % 1) * ring.partitions);
  const policy = ring.policies[$("policy").value] ?? Object.values(ring.policies)[0];
  $("partition").textContent = "partition " + partition + ": " + policy.owners[partition].map((owner) => ring.nodes[owner].slice(0, 8)).join(", ");
};

const loadRing = async () => {
  const answer = await fetch("/v1/cluster/ring");
  if (!answer.ok) return;
  ring = await answer.json();
  const names = Object.keys(ring.policies);
  const chosen = $("policy").value;
  $("policy").replaceChildren(...names.map((name) => new Option(name, name, false, name === chosen)));
  $("policy-label").hidden = names.length < 2;
  drawRing();
};

const poll = async () => {
  try {
    const cluster = await (await fetch("/v1/cluster")).json();
    const known = nodes.map((node) => node.id).join();
    nodes = cluster.nodes.toSorted((a, b) => (a.id < b.id ? -1 : 1));
    drawNodes(cluster);
    const up = nodes.filter((node) => node.state === "up").length;
    $("summary").textContent = up + " of " + nodes.length + " nodes up, layout " + cluster.layout.version + " " + cluster.layout.state;
    if (cluster.layout.version !== layoutVersion || known !== nodes.map((node) => node.id).join()) {
      layoutVersion = cluster.layout.version;
      await loadRing();
    }
    complain("");
  } catch {
    complain("This node does not answer. Trying again.");
  }
};

const pollForEver = async () => {
  if (!document.hidden) await poll();
  setTimeout(pollForEver, POLL_MS);
};

$("policy").addEventListener("change", drawRing);
$("circle").addEventListener("pointermove", showPartition);
pollForEver();
`;
