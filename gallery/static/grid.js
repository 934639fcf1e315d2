// The grid: days of faces, each a list of refs that is shown in chunks. Chunks that are
// far away keep only their height; their tiles are requested again when they come near.

import { $, ask, many, parsed, zone } from "./page.js";

const CHUNK = 60; // tiles; whole rows with each number of columns that the style sheet has
const NEAR = 1500; // pixels from the window
const root = $("days");

const word = root.dataset.kind === "face" ? "face" : "object";
const days = []; // newest first: { name, section, refs, count, chunks }
const known = new Map(); // ref -> { at, day }
const tiles = new Map(); // ref -> its element, of the chunks that are filled
const dressers = []; // called with each tile that is shown

const near = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      const chunk = entry.target.chunk;
      if (!chunk) continue;
      chunk.near = entry.isIntersecting;
      if (chunk.near) fill(chunk);
      else empty(chunk);
    }
  },
  { rootMargin: `${NEAR}px 0px` },
);

export function eachTile(dresser) {
  dressers.push(dresser);
  for (const tile of tiles.values()) dresser(tile);
}

export function tile(ref) {
  return tiles.get(ref);
}

export function shownTiles() {
  return [...tiles.values()];
}

export function has(ref) {
  return known.has(ref);
}

export function all() {
  return days.flatMap((day) => day.refs);
}

export function loaded() {
  return known.size;
}

export function dayOf(ref) {
  return known.get(ref)?.day;
}

export function dayNamed(name) {
  return days.find((day) => day.name === name);
}

// The ref `by` places after another in the grid, or null.
export function beside(ref, by) {
  const day = dayOf(ref);
  if (!day) return null;
  const at = day.refs.indexOf(ref) + by;
  if (at >= 0 && at < day.refs.length) return day.refs[at];
  const other = days[days.indexOf(day) + by];
  return (by < 0 ? other?.refs.at(-1) : other?.refs[0]) ?? null;
}

// --- adopting what the server has sent

function adopt(section) {
  let day = dayNamed(section.dataset.day);
  const items = [...section.querySelectorAll(".tile")].filter(
    (item) => !known.has(item.dataset.ref),
  );
  if (!day) {
    day = {
      name: section.dataset.day,
      section,
      refs: [],
      chunks: [],
      count: Number(section.dataset.count),
    };
    for (const list of section.querySelectorAll(".tiles")) list.remove();
    place(day);
  }
  for (const item of items) {
    register(item, day);
    day.refs.push(item.dataset.ref);
  }
  sync(day);
}

function place(day) {
  const before = days.findIndex((other) => other.name < day.name);
  if (before < 0) {
    days.push(day);
    if (!day.section.isConnected) root.insertBefore(day.section, older());
  } else {
    root.insertBefore(day.section, days[before].section);
    days.splice(before, 0, day);
  }
}

function register(item, day) {
  known.set(item.dataset.ref, { at: Number(item.dataset.at), day });
  show(item);
}

function show(item) {
  tiles.set(item.dataset.ref, item);
  for (const dresser of dressers) dresser(item);
}

// A picture that failed to load, such as when the reader's network changed, is requested again.
const AGAIN = 2000; // milliseconds
const TRIES = 5;
root.addEventListener(
  "error",
  ({ target }) => {
    const tries = Number(target.dataset.tries ?? 0);
    if (target.tagName !== "IMG" || tries >= TRIES) return;
    target.dataset.tries = tries + 1;
    const source = target.src;
    setTimeout(
      () => {
        target.src = source; // the same address: the browser tries once more
      },
      AGAIN * 2 ** tries,
    );
  },
  true,
);

// --- chunks

// Redistribute a day's refs among its chunks; all but the last are full.
function sync(day) {
  const wanted = Math.ceil(day.refs.length / CHUNK);
  while (day.chunks.length > wanted) {
    const chunk = day.chunks.pop();
    near.unobserve(chunk.list);
    chunk.list.remove();
  }
  while (day.chunks.length < wanted) {
    const list = document.createElement("ul");
    list.className = "tiles";
    list.setAttribute("role", "list");
    const chunk = { list, day, refs: [], near: true };
    list.chunk = chunk;
    day.chunks.push(chunk);
    day.section.append(list);
    near.observe(list);
  }
  day.chunks.forEach((chunk, index) => {
    chunk.refs = day.refs.slice(index * CHUNK, (index + 1) * CHUNK);
    if (chunk.near) fill(chunk);
    else if (chunk.list.firstChild || chunk.emptied !== chunk.refs.length) empty(chunk);
  });
  day.section.querySelector(".count").textContent = many(day.count, word);
}

async function fill(chunk) {
  const missing = chunk.refs.filter((ref) => !tiles.has(ref));
  if (missing.length) {
    if (chunk.asking) return;
    chunk.asking = true;
    let found;
    try {
      found = await fetched(missing);
    } catch {
      setTimeout(() => chunk.near && fill(chunk), 3000);
      return;
    } finally {
      chunk.asking = false;
    }
    for (const item of found) if (known.has(item.dataset.ref)) show(item);
    const gone = missing.filter((ref) => !tiles.has(ref) && known.has(ref));
    if (gone.length) remove(gone);
    if (!chunk.near || !chunk.list.isConnected) return empty(chunk);
    if (chunk.refs.some((ref) => !tiles.has(ref))) return fill(chunk);
  }
  const items = chunk.refs.map((ref) => tiles.get(ref));
  const same =
    items.length === chunk.list.children.length &&
    items.every((item, at) => item === chunk.list.children[at]);
  if (!same) rearrange(chunk.list, items);
  chunk.list.style.height = "";
}

// Put items in order without moving those that are already in place: a moved element would lose
// its focus.
function rearrange(list, items) {
  const wanted = new Set(items);
  for (const child of [...list.children]) if (!wanted.has(child)) child.remove();
  let at = list.firstElementChild;
  for (const item of items) {
    if (item === at) at = at.nextElementSibling;
    else list.insertBefore(item, at);
  }
}

function empty(chunk) {
  if (chunk.list.contains(document.activeElement)) return;
  chunk.list.style.height = `${height(chunk)}px`;
  chunk.emptied = chunk.refs.length;
  for (const child of [...chunk.list.children]) {
    tiles.delete(child.dataset.ref);
    child.remove();
    const image = child.querySelector("img");
    if (!image.complete) image.removeAttribute("src"); // what nobody looks at need not come
  }
}

function height(chunk) {
  const style = getComputedStyle(chunk.list);
  const columns = style.gridTemplateColumns.split(" ").length;
  const gap = Number.parseFloat(style.columnGap) || 0;
  const side = (chunk.list.clientWidth - gap * (columns - 1)) / columns;
  const rows = Math.ceil(chunk.refs.length / columns);
  return rows * side + (rows - 1) * gap;
}

addEventListener("resize", () => {
  for (const day of days)
    for (const chunk of day.chunks)
      if (chunk.list.style.height) chunk.list.style.height = `${height(chunk)}px`;
});

export async function fetched(refs) {
  const found = [];
  const query = root.dataset.query ? `&${root.dataset.query.slice(1)}` : "";
  for (let at = 0; at < refs.length; at += CHUNK) {
    const answer = await ask(`/tiles?refs=${refs.slice(at, at + CHUNK).join(",")}${query}`);
    found.push(...parsed(await answer.text()).querySelectorAll(".tile"));
  }
  return found;
}

// --- what follows

const older = () => root.querySelector(":scope > .older");
const FAST = 1500; // milliseconds; who reaches the end sooner after the last time gets more at once
const MOST = 5; // chunks
let loading = null;
let atOnce = 1;
let loadedAt = -Infinity;

const end = new IntersectionObserver(
  (entries) => entries.some((entry) => entry.isIntersecting) && load(),
  { rootMargin: `${NEAR}px 0px` },
);

// The next chunk; true when there was one.
export function load() {
  if (!older()?.dataset.next) return Promise.resolve(false);
  loading ??= next().finally(() => {
    loading = null;
  });
  return loading;
}

async function next() {
  const last = older();
  const after = encodeURIComponent(last.dataset.next);
  const url = root.dataset.more;
  atOnce = performance.now() - loadedAt < FAST ? Math.min(MOST, atOnce + 1) : 1;
  try {
    const answer = await ask(
      `${url}${url.includes("?") ? "&" : "?"}after=${after}&chunks=${atOnce}`,
    );
    loadedAt = performance.now();
    const content = parsed(await answer.text());
    end.unobserve(last);
    const following = content.querySelector(".older");
    last.replaceWith(following);
    for (const section of content.querySelectorAll(".day")) adopt(section);
    notice("");
    setTimeout(() => end.observe(following)); // which says so at once if it is near still
    return true;
  } catch (error) {
    notice(error.message);
    setTimeout(() => load(), 5000);
    return false;
  }
}

function notice(text) {
  let line = older().querySelector(".hint");
  if (!text) return line?.remove();
  line ??= older().appendChild(
    Object.assign(document.createElement("span"), { className: "hint" }),
  );
  line.textContent = ` ${text} Trying again.`;
}

// Fetch the newest chunk, in case faces were missed; true if there are new ones.
export async function catchUp() {
  const content = parsed(await (await ask(root.dataset.more)).text());
  const before = known.size;
  for (const section of content.querySelectorAll(".day")) {
    const day = dayNamed(section.dataset.day);
    const items = [...section.querySelectorAll(".tile")];
    if (!day) adopt(section);
    else {
      day.count = Number(section.dataset.count);
      insert(items);
      sync(day);
    }
  }
  return known.size > before;
}

// --- changes

const dates = new Intl.DateTimeFormat("en-CA", {
  timeZone: zone,
  year: "numeric",
  month: "2-digit",
  day: "2-digit",
});
export const dateOf = (ms) => dates.format(ms);

export function newestAt() {
  const first = days[0]?.refs[0];
  return first ? known.get(first).at : 0;
}

// Put new tiles where they belong, by time. Returns those that belong to days that are not
// loaded, or that are older than everything that is loaded.
export function insert(items) {
  const strange = [];
  const changed = new Set();
  for (const item of items) {
    if (known.has(item.dataset.ref)) continue;
    const at = Number(item.dataset.at);
    const day = dayNamed(dateOf(at));
    const isLast = day === days.at(-1) && older()?.dataset.next;
    let index = day ? day.refs.findIndex((ref) => known.get(ref).at < at) : -1;
    if (!day || (index < 0 && isLast)) {
      strange.push(item);
      continue;
    }
    if (index < 0) index = day.refs.length;
    register(item, day);
    day.refs.splice(index, 0, item.dataset.ref);
    changed.add(day);
  }
  changed.forEach(sync);
  return strange;
}

export function counted(day, by) {
  day.count += by;
  day.section.querySelector(".count").textContent = many(day.count, word);
}

export function remove(refs) {
  const changed = new Set();
  const gone = new Set(refs.filter((ref) => known.has(ref)));
  for (const ref of gone) {
    changed.add(known.get(ref).day);
    known.delete(ref);
    tiles.get(ref)?.remove();
    tiles.delete(ref);
  }
  for (const day of changed) {
    const before = day.refs.length;
    day.refs = day.refs.filter((ref) => !gone.has(ref));
    day.count = Math.max(day.refs.length, day.count - (before - day.refs.length));
    if (day.refs.length || (day === days.at(-1) && older()?.dataset.next)) sync(day);
    else {
      for (const chunk of day.chunks) near.unobserve(chunk.list);
      day.section.remove();
      days.splice(days.indexOf(day), 1);
    }
  }
  if (changed.size && days.every((day) => !day.refs.length))
    load().then((more) => more || location.reload());
  return gone.size;
}

// Make sure that a ref's tile exists and is in the window; then focus it.
export async function reveal(ref) {
  const day = dayOf(ref);
  const chunk = day?.chunks.find((one) => one.refs.includes(ref));
  if (!chunk) return;
  chunk.near = true;
  await fill(chunk);
  const link = tiles.get(ref)?.querySelector("a");
  link?.focus({ preventScroll: true });
  link?.scrollIntoView({ block: "nearest" });
}

for (const section of [...root.querySelectorAll(":scope > .day")]) adopt(section);
if (older()) end.observe(older());
