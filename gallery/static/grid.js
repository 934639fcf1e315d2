// The grid: days of faces, each a list of refs that is shown in chunks. Chunks that are
// far away keep only their height; their tiles are requested again when they come near.

// Where each visit has one tile, its ref is that of its best shot, which may change.

import { height, rearrange } from "./layout.js";
import { $, ask, dateOf, parsed, tally } from "./page.js";

const CHUNK = 60; // tiles; whole rows with each number of columns that the style sheet has
const NEAR = 1500; // pixels from the window
const root = $("days");

export const stacked = root.dataset.stacked === "yes"; // one tile for each visit
const word = root.dataset.kind === "face" ? "face" : "object";
const days = []; // newest first: { name, section, refs, count, visits, chunks }
const known = new Map(); // ref -> { at, day, visit, shots }
const visits = new Map(); // name of a visit that has one tile -> its ref
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

// By a ref, or by a visit's name.
export function has(name) {
  return known.has(name) || visits.has(name);
}

// What the server is asked for a tile by: the best shot of a visit may be another one by now.
const nameOf = (ref) => (stacked && known.get(ref)?.visit) || ref;

export function visitOf(ref) {
  return known.get(ref)?.visit;
}

export function shots(ref) {
  return known.get(ref)?.shots ?? 0;
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

export const older = () => root.querySelector(":scope > .older");

const emptied = []; // called when no tile is left of what was loaded
export function onEmptied(listener) {
  emptied.push(listener);
}

// --- adopting what the server has sent

export function adopt(section) {
  let day = dayNamed(section.dataset.day);
  const items = [...section.querySelectorAll(".tile")].filter(
    (item) => !known.has(item.dataset.ref),
  );
  for (const item of items) leave(visits.get(item.dataset.visit));
  if (!day) {
    day = {
      name: section.dataset.day,
      section,
      refs: [],
      chunks: [],
      count: Number(section.dataset.count),
      visits: Number(section.dataset.visits),
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
  const { ref, at, visit, shots } = item.dataset;
  known.set(ref, { at: Number(at), day, visit, shots: Number(shots) });
  if (stacked && visit) visits.set(visit, ref);
  show(item);
}

function forget(ref) {
  if (visits.get(known.get(ref).visit) === ref) visits.delete(known.get(ref).visit);
  known.delete(ref);
  tiles.get(ref)?.remove();
  tiles.delete(ref);
}

function show(item) {
  tiles.set(item.dataset.ref, item);
  for (const dresser of dressers) dresser(item);
}

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
  day.section.querySelector(".count").textContent = tally(day.count, day.visits, word);
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
    for (const item of found)
      if (!known.has(item.dataset.ref)) restack(item);
      else if (!tiles.has(item.dataset.ref)) show(item);
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

addEventListener("resize", () => {
  for (const day of days)
    for (const chunk of day.chunks)
      if (chunk.list.style.height) chunk.list.style.height = `${height(chunk)}px`;
});

// The tiles of faces by their refs, of visits by their names.
export async function fetched(refs) {
  const found = [];
  const names = refs.map(nameOf);
  const query = root.dataset.query ? `&${root.dataset.query.slice(1)}` : "";
  for (let at = 0; at < names.length; at += CHUNK) {
    const answer = await ask(`/tiles?refs=${names.slice(at, at + CHUNK).join(",")}${query}`);
    found.push(...parsed(await answer.text()).querySelectorAll(".tile"));
  }
  return found;
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
      day.visits = Number(section.dataset.visits);
      insert(items);
      sync(day);
    }
  }
  return known.size > before;
}

// --- changes

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
    if (visits.has(item.dataset.visit)) {
      restack(item);
      continue;
    }
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

export function counted(day, faces, begun) {
  day.count += faces;
  day.visits += begun;
  day.section.querySelector(".count").textContent = tally(day.count, day.visits, word);
}

// A shot has come to a visit that has a tile: false if it has none.
export function stack(visit) {
  const ref = visits.get(visit);
  if (!ref) return false;
  known.get(ref).shots += 1;
  return true;
}

const renamed = []; // called with the ref that a tile had, and the one that it has
export function onRenamed(listener) {
  renamed.push(listener);
}

// Put a visit's tile in the place of the one that it had: of another shot, or another number.
// `lost`: how many of its shots are gone, which were counted.
export function restack(item, lost = 0) {
  const { ref, visit } = item.dataset;
  const old = visits.get(visit);
  if (!old) return insert([item]);
  const hadFocus = tiles.get(old)?.contains(document.activeElement);
  const { day } = known.get(old);
  let strange = [];
  if (lost) lose(day, lost, 0);
  if (old === ref) {
    tiles.get(ref)?.replaceWith(item);
    register(item, day);
  } else {
    leave(old);
    for (const listener of renamed) listener(old, ref);
    strange = insert([item]);
    if (!day.refs.length) retire(day);
  }
  if (hadFocus) reveal(ref);
  return strange;
}

// Put the tile that a visit has now in place of the one that it had, or take it away. Returns it if
// it belongs elsewhere, as `insert` does.
export function renew(visit, item) {
  const old = visits.get(visit);
  if (item) return restack(item, old ? Math.max(0, shots(old) - Number(item.dataset.shots)) : 0);
  if (old) remove([old]);
  return [];
}

// Take a tile away without its face's being gone.
function leave(ref) {
  if (!ref) return;
  const { day } = known.get(ref);
  forget(ref);
  day.refs = day.refs.filter((one) => one !== ref);
  sync(day);
}

const lost = []; // called with how many faces and visits are gone
export function onLost(listener) {
  lost.push(listener);
}

function lose(day, faces, begun) {
  counted(day, -faces, -begun);
  for (const listener of lost) listener(faces, begun);
}

function retire(day) {
  for (const chunk of day.chunks) near.unobserve(chunk.list);
  day.section.remove();
  days.splice(days.indexOf(day), 1);
}

export function remove(refs) {
  const changed = new Set();
  const gone = new Set(refs.filter((ref) => known.has(ref)));
  const taken = [...gone].map((ref) => known.get(ref));
  for (const ref of gone) forget(ref);
  const left = new Set([...known.values()].map((one) => one.visit));
  for (const { day, visit, shots } of taken) {
    changed.add(day);
    const isOver = !visit || !left.has(visit);
    if (isOver) left.add(visit);
    lose(day, shots, isOver ? 1 : 0);
  }
  for (const day of changed) {
    day.refs = day.refs.filter((ref) => !gone.has(ref));
    if (day.refs.length || (day === days.at(-1) && older()?.dataset.next)) sync(day);
    else retire(day);
  }
  if (changed.size && days.every((day) => !day.refs.length))
    for (const listener of emptied) listener();
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
