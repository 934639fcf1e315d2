// The fleet: rows with live updates, and panels with charts of the last day.
// The gallery renders the page; live updates are only ever set as text.

import { day } from "./charts.js";
import { $, ask, base, format, parsed } from "./page.js";

const AGAIN = 5000; // milliseconds between two looks at an opened device
const NEW_SAMPLES = 300_000; // milliseconds
const FULL = 30_000; // milliseconds after which a page that was one too many asks again
const MOST_OPEN = 20; // panels; the first one opened closes for one more

const rows = new Map(); // by device
const panels = new Map(); // by device: {panel, timer, at}

// A part of this page, or null if the gallery does not respond; the next update tries again.
async function part(query) {
  const answer = await ask(`/fleet?${new URLSearchParams(query)}`).catch(() => null);
  return answer?.text();
}

// --- rows

function cell(row, name) {
  return row.querySelector(name);
}

function make(name) {
  const row = $("row").content.firstElementChild.cloneNode(true);
  row.dataset.device = name;
  const link = cell(row, ".name");
  link.textContent = name;
  link.href = `${base}/fleet?${new URLSearchParams({ device: name })}`;
  ready(row);
  return row;
}

function ready(row) {
  rows.set(row.dataset.device, row);
  const link = cell(row, ".name");
  link.setAttribute("role", "button");
  link.setAttribute("aria-expanded", "false");
}

function text(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

function since(element, ms) {
  if (ms === null) return element.replaceChildren();
  const time = document.createElement("time");
  time.dateTime = new Date(ms).toISOString();
  time.textContent = format("short", ms);
  element.replaceChildren("since ", time);
}

function show(data) {
  const known = rows.get(data.name);
  const row = known ?? make(data.name);
  const moves = !known || row.dataset.rank !== String(data.rank);
  row.dataset.state = data.state;
  row.dataset.rank = data.rank;
  text(cell(row, ".label"), data.label);
  text(cell(row, ".reasons"), data.reasons);
  since(cell(row, ".since"), data.since);
  for (const [name, value] of Object.entries(data.cells)) {
    const figure = cell(row, `[data-cell="${CSS.escape(name)}"]`);
    if (figure) text(figure, value);
  }
  cell(row, '[data-cell="certificate"]').dataset.alarm = data.alarm;
  if (moves) place(row);
  if (panels.has(data.name)) look(data.name);
}

function before(one, other) {
  const rank = Number(one.dataset.rank) - Number(other.dataset.rank);
  return rank ? rank < 0 : one.dataset.device < other.dataset.device;
}

// Move a row into its order, with its panel, without losing the focus.
function place(row) {
  const panel = panels.get(row.dataset.device)?.panel;
  const next = [...$("rows").children].find(
    (other) => other !== row && other.matches(".device") && before(row, other),
  );
  if (row.isConnected && (panel ?? row).nextElementSibling === (next ?? null)) return;
  const focused =
    row.contains(document.activeElement) || panel?.contains(document.activeElement)
      ? document.activeElement
      : null;
  $("rows").insertBefore(row, next ?? null);
  if (panel) row.after(panel);
  focused?.focus({ preventScroll: true });
}

function drop(name) {
  close(name);
  rows.get(name)?.remove();
  rows.delete(name);
}

const WORDS = [
  ["silent", "not reporting"],
  ["down", "with a service down"],
  ["degraded", "degraded"],
  ["online", "online"],
];

function count() {
  const counts = {};
  const query = $("find").value.trim().toLowerCase();
  let shown = 0;
  for (const [name, row] of rows) {
    const state = row.dataset.state;
    counts[state] = (counts[state] ?? 0) + 1;
    const hidden =
      !name.toLowerCase().includes(query) || ($("troubled").checked && state === "online");
    if (row.hidden !== hidden) row.hidden = hidden;
    const panel = panels.get(name)?.panel;
    if (panel) panel.hidden = hidden;
    shown += hidden ? 0 : 1;
  }
  const total = rows.size === 1 ? "1 device" : `${rows.size.toLocaleString("en")} devices`;
  const parts = WORDS.filter(([state]) => counts[state]).map(
    ([state, word]) => `${counts[state].toLocaleString("en")} ${word}`,
  );
  text($("sum"), parts.length ? `${total}: ${parts.join(", ")}` : total);
  $("fleet").hidden = !shown;
  $("none").hidden = shown > 0;
  if (rows.size) text($("none"), query ? "No device name matches." : "No device has a problem.");
}

// --- panels

async function open(name) {
  const row = rows.get(name);
  if (!row || panels.has(name)) return;
  if (panels.size >= MOST_OPEN) close(panels.keys().next().value);
  let panel = row.nextElementSibling;
  if (!panel?.matches(".panel")) {
    panel = $("panel").content.firstElementChild.cloneNode(true);
    row.after(panel);
  }
  const opened = { panel, timer: 0, late: false, samples: 0, drawn: null };
  panels.set(name, opened);
  cell(row, ".name").setAttribute("aria-expanded", "true");
  await Promise.all([look(name, true), draw(name)]);
}

function close(name) {
  const opened = panels.get(name);
  if (!opened) return;
  panels.delete(name);
  clearTimeout(opened.timer);
  clearInterval(opened.samples);
  opened.drawn?.end();
  opened.panel.remove();
  cell(rows.get(name), ".name").setAttribute("aria-expanded", "false");
}

// The services of an opened device, again; live updates are of the whole device only.
async function look(name, now = false) {
  const opened = panels.get(name);
  if (!opened) return;
  if (opened.timer && !now) {
    opened.late = true;
    return;
  }
  opened.late = false;
  opened.timer = setTimeout(() => {
    opened.timer = 0;
    if (opened.late) look(name);
  }, AGAIN);
  const page = await part({ part: "device", device: name });
  if (page === null) return;
  opened.panel.querySelector(".services").replaceChildren(parsed(page));
  opened.drawn?.show(opened.panel);
}

async function draw(name) {
  const opened = panels.get(name);
  const take = async () => {
    const answer = await ask(`/fleet/samples?${new URLSearchParams({ device: name })}`).catch(
      () => null,
    );
    const data = await answer?.json();
    if (!data || panels.get(name) !== opened) return;
    opened.drawn?.end();
    opened.drawn = day(data);
    opened.drawn.show(opened.panel);
  };
  opened.samples = setInterval(take, NEW_SAMPLES);
  await take();
}

function toggle(name) {
  const opens = !panels.has(name);
  if (opens) open(name);
  else close(name);
  const query = new URLSearchParams(location.search);
  if (opens) query.set("device", name);
  else if (query.get("device") === name) query.delete("device");
  history.replaceState(null, "", `${base}/fleet${query.size ? `?${query}` : ""}`);
}

$("rows").addEventListener("click", (event) => {
  const row = event.target.closest("tr.device");
  const link = event.target.closest(".name");
  if (!row || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (link) event.preventDefault();
  else if (getSelection().toString()) return;
  toggle(row.dataset.device);
});
$("rows").addEventListener("keydown", (event) => {
  if (event.key !== " " || !event.target.matches(".name")) return;
  event.preventDefault();
  toggle(event.target.closest("tr").dataset.device);
});
$("find").addEventListener("input", count);
$("find").form.addEventListener("submit", (event) => event.preventDefault());
$("troubled").addEventListener("change", count);

// --- live updates

// Reload all rows at each connection, since updates may have been missed.
async function refresh() {
  const page = await part({ part: "rows" });
  if (page === null) return;
  const found = parsed(`<table>${page}</table>`).querySelectorAll("tr.device");
  const fresh = new Map([...found].map((row) => [row.dataset.device, row]));
  for (const name of [...rows.keys()]) if (!fresh.has(name)) drop(name);
  for (const [name, row] of fresh) show(read(name, row));
  count();
}

function read(name, row) {
  const time = row.querySelector("time");
  const figures = [...row.querySelectorAll("[data-cell]")].map((one) => [
    one.dataset.cell,
    one.textContent,
  ]);
  return {
    name,
    state: row.dataset.state,
    rank: row.dataset.rank,
    label: cell(row, ".label").textContent,
    reasons: cell(row, ".reasons").textContent,
    since: time ? Date.parse(time.dateTime) : null,
    cells: Object.fromEntries(figures),
    alarm: cell(row, '[data-cell="certificate"]').dataset.alarm,
  };
}

function status(event) {
  const data = JSON.parse(event.data);
  if ("connected" in data) $("cut").hidden = data.connected;
  for (const row of data.devices ?? []) show(row);
  for (const name of data.gone ?? []) drop(name);
  count();
}

let live = null; // while somebody sees the page: one that nobody sees asks nothing

function listen() {
  live?.close();
  live = null;
  if (document.hidden) return;
  const source = new EventSource(`${base}/live`);
  const later = () => {
    source.close();
    setTimeout(() => live === source && listen(), FULL);
  };
  live = source;
  source.addEventListener("open", refresh);
  source.addEventListener("missed", refresh);
  source.addEventListener("status", status);
  source.addEventListener("full", later);
  source.addEventListener("error", () => source.readyState === EventSource.CLOSED && later());
}

for (const row of $("rows").querySelectorAll("tr.device")) ready(row);
$("only").hidden = false;
count();
document.addEventListener("visibilitychange", listen);
listen();
for (const panel of $("rows").querySelectorAll(".panel"))
  open(panel.previousElementSibling.dataset.device);
