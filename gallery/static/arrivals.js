// New faces: the server sends them while the page is visible. A hidden page requests nothing.

import { $, announce, ask, base, dateOf, many, notice, parsed } from "./page.js";
import * as grid from "./grid.js";

const TOP = 200; // pixels from the top within which the reader looks at the newest
const AT_ONCE = 60; // tiles asked for by name; more are taken as a page
const FULL = 30_000; // milliseconds after which a page that was one too many asks again
const ADVISE = 3000; // milliseconds between two looks at what to do while there are no faces
const RESTACK = 300; // milliseconds in which changes of visits are gathered
const root = $("days");
const { device, camera, kind, visit } = root.dataset;
const word = grid.stacked ? "visit" : "face";
const isLive = root.dataset.live === "yes";
let source = null;
let position = root.dataset.position; // id of the newest event that this page has
let building = false;
let waiting = new Set(); // names of what came and is not shown: refs; visits, where each has a tile
let passed = 0; // faces that came and are not in `waiting`: too many, or too old for what is loaded
let taking = false;
const fresh = new Set(); // refs that came since the page was opened
grid.eachTile((item) => item.classList.toggle("is-new", fresh.has(item.dataset.ref)));
grid.onRenamed((old, ref) => fresh.delete(old) && fresh.add(ref));
const listeners = [];

export function onFaces(listener) {
  listeners.push(listener);
}

function open() {
  let again = source !== null;
  source = new EventSource(`${base}/live?after=${position}`);
  // What a listing has found meanwhile was no event.
  source.onopen = () => {
    if (again) catchUp();
    again = true;
  };
  source.onerror = () => source?.readyState === EventSource.CLOSED && setTimeout(reopen, FULL);
  for (const [name, take] of Object.entries(TAKE))
    source.addEventListener(name, (event) => {
      position = event.lastEventId || position;
      take(JSON.parse(event.data));
    });
}

function reopen() {
  source?.close();
  if (!document.hidden) open();
}

const TAKE = {
  faces({ faces, count, visits }) {
    const ours = faces.filter(
      (face) => matches(face) && !grid.has(face.ref) && !waiting.has(face.ref),
    );
    if (!ours.length) return;
    for (const face of ours) {
      if (grid.stack(face.visit)) restack([face.visit]);
      else if (isLive) waiting.add((grid.stacked && face.visit) || face.ref);
      else passed += 1;
    }
    const all = device || camera || visit || kind !== "face" ? ours.length : count;
    if (all > faces.length) passed += all - faces.length;
    const begun = ours.filter((face) => face.begins).length;
    add(ours, Math.max(all, ours.length), all > ours.length ? Math.max(visits, begun) : begun);
    take();
  },
  gone({ refs, visits }) {
    for (const ref of refs) waiting.delete(ref);
    const others = new Set(grid.stacked ? visits : []);
    grid.remove(refs.filter((ref) => !others.has(grid.visitOf(ref))));
    restack(others);
    pill();
  },
  missed: catchUp,
  sync({ listing, complete, found }) {
    const text = `building the index: ${found.toLocaleString()} faces so far`;
    notice("sync", listing && !complete ? text : "");
    if (building && !listing) catchUp();
    building = listing && !complete;
  },
  store({ text }) {
    notice("store", text);
  },
  full() {
    source.close();
    setTimeout(reopen, FULL);
  },
};

// The advice shown while there are no faces depends on the state of the devices and the bucket.
async function advise() {
  if (document.hidden) return;
  const answer = await ask("/advice").catch(() => null); // the next try comes by itself
  const next = answer && parsed(await answer.text()).querySelector("#advice");
  if (next && next.textContent !== $("advice")?.textContent) $("advice")?.replaceWith(next);
}

function matches(face) {
  return (
    face.kind === kind &&
    (!device || face.device === device) &&
    (!camera || face.camera === camera) &&
    (!visit || face.visit === visit)
  );
}

// Some visits have other shots by now: their tiles are put in place of those that they had.
const changed = new Set();
let restacking = 0;

function restack(names) {
  for (const name of names) if (grid.has(name)) changed.add(name);
  if (changed.size && !restacking) restacking = setTimeout(restackThem, RESTACK);
}

async function restackThem() {
  restacking = 0;
  const names = [...changed];
  changed.clear();
  try {
    const items = new Map((await grid.fetched(names)).map((item) => [item.dataset.visit, item]));
    await place(names.flatMap((name) => grid.renew(name, items.get(name))));
  } catch {
    setTimeout(() => restack(names), 2000);
  }
}

function add(faces, count, begun) {
  total(count, begun);
  for (const face of faces) {
    const day = grid.dayNamed(dateOf(face.captured));
    if (day) grid.counted(day, 1, face.begins ? 1 : 0);
  }
  for (const listener of listeners) listener(faces);
}

function total(faces, visits) {
  for (const [number, by] of [
    [$("total"), faces],
    [$("visits"), visits],
  ]) {
    if (!number) continue;
    number.dataset.count = Math.max(0, Number(number.dataset.count) + by);
    number.textContent = Number(number.dataset.count).toLocaleString();
  }
}

grid.onLost((faces, visits) => total(-faces, -visits));

const atTop = () => scrollY < TOP;

async function take() {
  pill();
  if (!isLive || !atTop() || taking || !waiting.size) return;
  taking = true;
  try {
    if (!grid.loaded()) return location.reload(); // from `no faces yet`
    if (waiting.size > AT_ONCE || passed) await newest();
    else await named();
  } catch {
    setTimeout(take, 2000);
    return;
  } finally {
    taking = false;
    pill();
  }
  if (waiting.size) take();
}

async function named() {
  const refs = [...waiting];
  const items = await grid.fetched(refs);
  for (const ref of refs) waiting.delete(ref);
  mark(items.map((item) => item.dataset.ref));
  await place(grid.insert(items));
  say(items.length);
}

// Tiles that belong to no day here: of a new day, or older than all.
async function place(strange) {
  const newest = grid.newestAt();
  if (strange.some((item) => Number(item.dataset.at) > newest)) await grid.catchUp();
  else passed += strange.length;
}

// Mark the tiles of new faces whenever they are shown: a new day's tiles come with its list, and
// tiles that were scrolled far away are created again.
function mark(refs) {
  for (const ref of refs) fresh.add(ref);
}

async function newest() {
  const count = waiting.size + passed;
  mark(waiting);
  waiting = new Set();
  passed = 0;
  await grid.catchUp();
  say(count);
}

async function catchUp() {
  if (!isLive) return;
  if (!grid.loaded()) return location.reload();
  if (atTop()) {
    await newest().catch(() => 0);
    pill();
  } else {
    passed ||= 1;
    pill();
  }
}

function pill() {
  const count = waiting.size + passed;
  const show = count > 0 && !(isLive && atTop() && !passed);
  $("arrived").parentElement.hidden = !show;
  if (show) $("arrived").textContent = many(count, `new ${word}`);
}

let said = 0;

function say(count) {
  if (performance.now() - said < 5000) return;
  said = performance.now();
  announce(many(count, `new ${word}`));
}

$("arrived").addEventListener("click", () => {
  if (!isLive) return location.assign(`${base}/${root.dataset.query}`);
  if (passed && !waiting.size) return location.reload();
  scrollTo({ top: 0, behavior: "instant" });
  take();
});
addEventListener("scroll", () => waiting.size && atTop() && take(), { passive: true });
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) open();
  else source?.close();
});
if (!document.hidden) open();
if ($("advice")) setInterval(advise, ADVISE);
