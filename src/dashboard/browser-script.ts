/** The lower half of the dashboard's script: the data browser. Uses the helpers of cluster-script.ts. */
export const BROWSER_SCRIPT = `
const PREVIEW_BYTES = 65536;
let cursor = null;
let shown = null;

const kvUrl = (key) => "/v1/kv/" + $("namespace").value + "?" + new URLSearchParams({ key });
const problemText = async (answer) => {
  try {
    const problem = await answer.json();
    return problem.detail + " (" + problem.code + ", " + problem.requestId + ")";
  } catch {
    return "The node answered " + answer.status;
  }
};
const when = (unixSeconds) => new Date(unixSeconds * 1000).toLocaleString();
const fromBase64 = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

// Text where it is text, else the bytes in hex; null when it cannot be edited as text.
const asText = (value) => {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(value);
    return text.includes(String.fromCharCode(0)) ? null : text;
  } catch {
    return null;
  }
};
const preview = (value) => {
  const head = value.subarray(0, PREVIEW_BYTES);
  const text = asText(value.length <= PREVIEW_BYTES ? value : trimmed(head));
  const body = text ?? [...head.subarray(0, 4096)].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
  const box = el("pre", "", body);
  box.tabIndex = 0;
  const seen = text === null ? Math.min(value.length, 4096) : head.length;
  return seen < value.length ? [box, el("p", "soft", "The first " + bytes(seen) + " of " + bytes(value.length) + ".")] : [box];
};
// A cut through a character would make text look like bytes.
const trimmed = (value) => {
  let end = value.length;
  while (end > 0 && (value[end - 1] & 0xc0) === 0x80) end--;
  return value.subarray(0, Math.max(0, end - 1));
};

const listKeys = async (next) => {
  const query = new URLSearchParams({ limit: "100" });
  if ($("prefix").value !== "") query.set("prefix", $("prefix").value);
  if (next !== null) query.set("cursor", next);
  const answer = await fetch("/v1/keys/" + $("namespace").value + "?" + query);
  if (!answer.ok) {
    $("keys-note").textContent = await problemText(answer);
    return;
  }
  const page = await answer.json();
  const rows = page.keys.map((key) => {
    const row = el("tr");
    const name = el("button", "name", key.name);
    name.type = "button";
    name.addEventListener("click", () => guarded(showKey)(key.name));
    const cell = el("td");
    cell.append(name);
    row.dataset.key = key.name;
    row.append(cell, el("td", "number", number(key.size)), el("td", "number soft", key.expiration === undefined ? "" : when(key.expiration)));
    return row;
  });
  const body = $("keys").tBodies[0];
  if (next === null) body.replaceChildren(...rows); else body.append(...rows);
  cursor = page.complete ? null : page.cursor;
  $("more").hidden = cursor === null;
  $("keys-note").textContent = body.rows.length === 0 ? "No keys here." : number(body.rows.length) + (body.rows.length === 1 ? " key" : " keys") + (cursor === null ? "" : " so far");
};

// What a key holds now, siblings and all: { context, siblings: [{ value, contentType, ... }] }, or null when it is gone.
const readKey = async (key) => {
  const answer = await fetch(kvUrl(key) + "&conflict=siblings", { headers: { accept: "application/json" }, cache: "no-store" });
  const context = answer.headers.get("gyre-context");
  if (answer.status === 404) return { context, siblings: [] };
  if (answer.status === 300) {
    const several = await answer.json();
    return { context, siblings: several.siblings.map((one) => ({ ...one, value: fromBase64(one.value) })) };
  }
  if (!answer.ok) throw new Error(await problemText(answer));
  const metadata = answer.headers.get("gyre-metadata");
  const expires = answer.headers.get("gyre-expires");
  return {
    context,
    siblings: [{
      value: new Uint8Array(await answer.arrayBuffer()),
      contentType: answer.headers.get("content-type"),
      metadata: metadata === null ? null : JSON.parse(decodeURIComponent(metadata)),
      expires: expires === null ? null : Number(expires),
      modified: answer.headers.get("last-modified"),
      acks: answer.headers.get("gyre-acks"),
      etag: answer.headers.get("etag"),
    }],
  };
};

const siblingView = (sibling) => {
  const rows = [["content type", sibling.contentType], ["size", bytes(sibling.value.length)]];
  if (sibling.modified) rows.push(["modified", sibling.modified]);
  if (sibling.stamp) rows.push(["modified", when(sibling.stamp / 1e6)]);
  if (sibling.expires !== null) rows.push(["expires", when(sibling.expires)]);
  if (sibling.metadata !== null) rows.push(["metadata", JSON.stringify(sibling.metadata)]);
  if (sibling.etag) rows.push(["etag", sibling.etag]);
  if (sibling.dot) rows.push(["dot", sibling.dot]);
  if (sibling.acks) rows.push(["answered by", sibling.acks]);
  return [facts("facts", rows), ...preview(sibling.value)];
};

const showKey = async (key) => {
  for (const row of $("keys").tBodies[0].rows) row.setAttribute("aria-selected", String(row.dataset.key === key));
  const title = el("h3", "mono", key);
  try {
    shown = { key, ...(await readKey(key)) };
  } catch (error) {
    shown = null;
    $("detail").replaceChildren(title, el("p", "soft", error.message));
    return;
  }
  const parts = [title];
  if (shown.siblings.length === 0) parts.push(el("p", "soft", "There is no value under this key any more."));
  if (shown.siblings.length === 1) parts.push(...siblingView(shown.siblings[0]));
  if (shown.siblings.length > 1) {
    parts.push(el("p", "", shown.siblings.length + " writers did not know of each other. Saving or deleting replaces all of these."));
    for (const sibling of shown.siblings) {
      const box = el("div", "sibling");
      const use = el("button", "", "Keep this one");
      use.addEventListener("click", () => guarded(editKey)(shown, sibling));
      box.append(...siblingView(sibling), use);
      parts.push(box);
    }
  }
  $("detail").replaceChildren(...parts, actions());
};

const actions = () => {
  const row = el("div", "row");
  const edit = el("button", "", shown.siblings.length === 0 ? "Put a value" : "Edit");
  edit.addEventListener("click", () => guarded(editKey)(shown, shown.siblings[0] ?? null));
  const remove = el("button", "danger", "Delete");
  remove.addEventListener("click", guarded(deleteKey));
  remove.hidden = shown.siblings.length === 0;
  const where = el("button", "", "Where does it live?");
  where.addEventListener("click", guarded(explainKey));
  row.append(edit, remove, where);
  return row;
};

// One question at a time: a dialog tells that it was closed a moment after it was.
let asking = false;
const asked = (dialog) => new Promise((resolve) => {
  if (asking) { resolve(""); return; }
  asking = true;
  dialog.returnValue = "";
  dialog.addEventListener("close", () => { asking = false; resolve(dialog.returnValue); }, { once: true });
  dialog.showModal();
});

// Target is what readKey found, with its key; null for a key that is still to be named.
const editKey = async (target, sibling) => {
  $("edit-title").textContent = target === null ? "New key" : "Edit";
  $("edit-key").value = target === null ? "" : target.key;
  $("edit-key").readOnly = target !== null;
  $("edit-type").value = sibling === null ? "text/plain" : sibling.contentType;
  const text = sibling === null ? "" : asText(sibling.value);
  $("edit-value").value = text ?? "";
  // A text field turns line ends into one kind: what was not changed is sent back as the bytes it was.
  const before = $("edit-value").value;
  $("edit-ttl").value = "0";
  $("edit-note").textContent = text === null ? "The value is not text: saving without typing keeps its bytes." : "";
  if ((await asked($("edit"))) !== "save") return;
  const key = $("edit-key").value;
  const present = target ?? { key, ...(await readKey(key)) };
  if (target === null && present.siblings.length > 0) {
    await showKey(key);
    complain("There is a value under this key already: look at it, then edit it.");
    return;
  }
  const unchanged = sibling !== null && $("edit-value").value === before;
  await store(present, unchanged ? sibling.value : $("edit-value").value, sibling);
};

const store = async (target, value, sibling) => {
  const headers = { "content-type": $("edit-type").value || "application/octet-stream" };
  if (target.context !== null) headers["gyre-context"] = target.context;
  if (sibling !== null && sibling.metadata !== null) headers["gyre-metadata"] = encodeURIComponent(JSON.stringify(sibling.metadata));
  const ttl = $("edit-ttl").value.trim() || "0";
  const answer = await fetch(kvUrl(target.key) + "&" + new URLSearchParams({ ttl }), { method: "PUT", headers, body: value });
  complain(answer.ok ? "" : await problemText(answer));
  if (!answer.ok) return;
  await listKeys(null);
  await showKey(target.key);
};

const deleteKey = async () => {
  const { key, context } = shown;
  $("confirm-text").textContent = "Delete \\u201c" + key + "\\u201d from every region?";
  if ((await asked($("confirm"))) !== "yes") return;
  const headers = context === null ? {} : { "gyre-context": context };
  const answer = await fetch(kvUrl(key), { method: "DELETE", headers });
  complain(answer.ok ? "" : await problemText(answer));
  await listKeys(null);
  await showKey(key);
};

const explainKey = async () => {
  const answer = await fetch("/v1/cluster/explain/" + $("namespace").value + "?" + new URLSearchParams({ key: shown.key }));
  if (!answer.ok) {
    complain(await problemText(answer));
    return;
  }
  const told = await answer.json();
  const table = el("table");
  const head = el("tr");
  for (const title of ["Owner", "Region", "State", "Holds"]) head.append(el("th", "", title));
  table.append(head);
  for (const owner of told.owners) {
    const row = el("tr");
    const name = el("td", "mono");
    name.append(swatch(owner.id), owner.id.slice(0, 8));
    const holds = owner.siblings === null ? owner.error : owner.siblings.map((one) => (one.deleted ? "tombstone" : bytes(one.bytes)) + " @ " + when(one.stamp / 1e6)).join("; ") || "nothing";
    row.append(name, el("td", "", owner.region), el("td", "", owner.state), el("td", "", holds));
    table.append(row);
  }
  $("detail").append(el("p", "soft", "Partition " + told.partition + "; stand-ins in turn: " + (told.fallbacks.map((id) => id.slice(0, 8)).join(", ") || "none")), table);
};

const loadNamespaces = async () => {
  const answer = await fetch("/v1/namespaces");
  const names = answer.ok ? (await answer.json()).namespaces.map((one) => one.name) : ["default"];
  $("namespace").replaceChildren(...names.map((name) => new Option(name, name)));
  await listKeys(null);
};
const guarded = (act) => async (...inputs) => {
  try {
    await act(...inputs);
  } catch (error) {
    complain(error instanceof TypeError ? "This node does not answer. Try again." : error.message);
  }
};

$("find").addEventListener("submit", (event) => { event.preventDefault(); guarded(listKeys)(null); });
$("namespace").addEventListener("change", () => guarded(listKeys)(null));
$("more").addEventListener("click", () => guarded(listKeys)(cursor));
$("new").addEventListener("click", () => guarded(editKey)(null, null));
document.addEventListener("keydown", (event) => {
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) || event.target.closest("dialog") !== null;
  if (event.key === "/" && !typing) { event.preventDefault(); $("prefix").focus(); }
});
guarded(loadNamespaces)();
`;
