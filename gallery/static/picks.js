// Selecting: some faces by their refs, or all faces that match a filter.

import { $, announce, ask, base, make, many } from "./page.js";
import { reload, remove, tell } from "./deleting.js";
import * as grid from "./grid.js";

const MOST = 10_000; // refs that the server takes; what is more is selected by a filter
const form = $("picked");
const word = grid.stacked ? "visit" : "face";
const picked = new Set();
let whole = null; // { filter, count, words }: all of something, in place of single ones
let selecting = false;
let last = null; // the ref that a range begins at

export function isSelecting() {
  return selecting;
}

export function begin(on = true) {
  selecting = on;
  document.documentElement.classList.toggle("selecting", on);
  $("select").setAttribute("aria-pressed", on);
  if (!on) clear();
  show();
}

function clear() {
  picked.clear();
  whole = null;
  last = null;
}

function show() {
  const count = whole ? whole.count : picked.size;
  $("how-many").textContent = whole
    ? `${many(count)}: ${whole.words}`
    : count
      ? `${told()} selected`
      : `Select ${word}s; hold Shift to select a range`;
  for (const button of form.querySelectorAll('#bar [type="submit"]')) button.disabled = !count;
  for (const tile of grid.shownTiles()) mark(tile);
  for (const button of document.querySelectorAll(".pick-day"))
    button.textContent = isDayPicked(button) ? "Deselect day" : "Select day";
}

// What is selected one by one: of visits, with their faces as far as the page knows them.
function told() {
  if (!grid.stacked) return picked.size.toLocaleString();
  const faces = [...picked].reduce((sum, ref) => sum + grid.shots(ref), 0);
  if (faces === picked.size) return faces.toLocaleString();
  return `${many(picked.size, word)} (${many(faces)})`;
}

grid.onRenamed((old, ref) => {
  if (picked.delete(old)) picked.add(ref);
  if (last === old) last = ref;
  show();
});

function mark(tile) {
  const box = tile.querySelector("input");
  const { ref } = tile.dataset;
  box.checked = picked.has(ref) || covers(tile);
  box.disabled = whole !== null;
  tile.classList.toggle("is-picked", box.checked);
}

function covers(tile) {
  if (!whole) return false;
  const at = Number(tile.dataset.at);
  return at >= (whole.filter.since ?? -Infinity) && at < (whole.filter.until ?? Infinity);
}

function isDayPicked(button) {
  const day = grid.dayNamed(button.closest(".day").dataset.day);
  if (!day || !day.refs.length) return false;
  if (whole) return whole.filter.since === Number(day.section.dataset.since);
  return picked.size >= day.refs.length && day.refs.every((ref) => picked.has(ref));
}

// --- one, a range, a day, all

function pick(ref, on, isRange) {
  const refs = isRange && last && last !== ref ? range(last, ref) : [ref];
  for (const one of refs) {
    if (on) picked.add(one);
    else picked.delete(one);
  }
  if (picked.size > MOST) {
    for (const one of [...picked].slice(MOST)) picked.delete(one);
    tell(
      `At most ${MOST.toLocaleString()} faces can be selected one by one. Select a day or all faces instead.`,
    );
  }
  last = ref;
  show();
  announce(`${many(picked.size, word)} selected`);
}

function range(from, to) {
  const refs = grid.all();
  const ends = [refs.indexOf(from), refs.indexOf(to)].sort((a, b) => a - b);
  return ends[0] < 0 ? [to] : refs.slice(ends[0], ends[1] + 1);
}

async function pickDay(button) {
  const section = button.closest(".day");
  const day = grid.dayNamed(section.dataset.day);
  if (!selecting) begin();
  if (isDayPicked(button)) {
    if (whole) whole = null;
    for (const ref of day.refs) picked.delete(ref);
  } else if (!whole && isLoaded(day) && picked.size + day.count <= MOST) {
    for (const ref of day.refs) picked.add(ref);
  } else {
    const { since, until } = section.dataset;
    await pickWhole(
      { since: Number(since), until: Number(until) },
      section.querySelector("h2").textContent,
    );
  }
  show();
  announce($("how-many").textContent);
}

// Whether all of a day has tiles here.
function isLoaded(day) {
  return day.refs.length === (grid.stacked ? day.visits : day.count);
}

async function pickWhole(times, words) {
  const { device, camera, kind, visit } = $("days").dataset;
  const filter = { device, camera, kind, visit, ...times };
  try {
    const { count, where, added } = await (await ask("/count", { selection: { filter } })).json();
    clear();
    whole = { filter: { ...filter, added }, count, words: words ?? where };
  } catch (error) {
    tell(error.message);
  }
  show();
}

// --- what the reader does

grid.eachTile(mark);

form.addEventListener("click", (event) => {
  const tile = event.target.closest(".tile");
  const day = event.target.closest(".pick-day");
  if (day) pickDay(day);
  if (!tile) return;
  const { ref } = tile.dataset;
  if (event.target.matches("input")) {
    if (!selecting) begin();
    pick(ref, event.target.checked, event.shiftKey);
  } else if (selecting && event.target.closest("a")) {
    event.preventDefault();
    event.stopImmediatePropagation();
    if (!whole) pick(ref, !picked.has(ref), event.shiftKey);
  }
});

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]"))
    return;
  const tile = event.target.closest?.(".tile");
  if (event.key === "Escape" && selecting) begin(false);
  else if (
    tile &&
    !whole &&
    (event.key.toLowerCase() === "x" ||
      (selecting && event.key === " " && event.target.matches("a")))
  ) {
    event.preventDefault();
    if (!selecting) begin();
    pick(tile.dataset.ref, !picked.has(tile.dataset.ref), event.shiftKey);
  }
});

$("select").addEventListener("click", () => begin(!selecting));
$("clear").addEventListener("click", () => begin(false));
$("pick-all").addEventListener("click", () => pickWhole({}));

function selection() {
  return whole ? { filter: whole.filter } : { refs: [...picked], visits: grid.stacked };
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (event.submitter?.matches(".danger")) await deleteThem();
  else download();
});

// The browser saves a form's response as it arrives; a script would have to hold all of it.
function download() {
  const post = make("form", { method: "post", action: `${base}/zip`, hidden: true });
  const field = (name, value) => make("input", { type: "hidden", name, value });
  post.append(field("selection", JSON.stringify(selection())));
  document.body.append(post);
  post.submit();
  post.remove();
  tell("The zip file is created while you download it.");
}

async function deleteThem() {
  const chosen = selection();
  try {
    const job = await remove(chosen);
    if (!job) return;
    begin(false);
    if (chosen.refs && job.state === "done") grid.remove(chosen.refs);
    else reload();
  } catch (error) {
    tell(error.message);
  }
}

show();
