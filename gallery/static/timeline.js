// Bars with the number of faces in each day and hour, which link there.

import { $, ask, base, dateOf, format, tally } from "./page.js";

const [NARROWEST, WIDEST] = [14, 26]; // pixels of a day's bar, its gap included
const HIGH = 56;
const LABEL = 60; // pixels of a month's name
const word = $("days").dataset.kind === "face" ? "face" : "object";
const SVG = "http://www.w3.org/2000/svg";
const root = $("timeline");
let days = []; // oldest first: { name, count, visits, hours: Map of { count, visits } }
let current = "";
let drawn = false;

export async function draw() {
  if (!root) return;
  try {
    const found = await (await ask(root.dataset.days)).json();
    days = [];
    for (const [name, hours] of found.days)
      for (const [hour, count, visits] of hours) tallyUp(name, hour, count, visits);
  } catch (error) {
    root.textContent = error.message;
    return;
  }
  current = root.dataset.day || days.at(-1)?.name || "";
  show();
}

export function add(faces) {
  if (!drawn) return;
  for (const { captured, begins } of faces) {
    const hour = Number(
      new Intl.DateTimeFormat("en", {
        hour: "numeric",
        hourCycle: "h23",
        timeZone: document.documentElement.dataset.zone,
      }).format(captured),
    );
    tallyUp(dateOf(captured), hour, 1, begins ? 1 : 0);
  }
  soon();
}

function tallyUp(name, at, count, visits) {
  let day = days.findLast((one) => one.name === name);
  if (!day) {
    day = { name, count: 0, visits: 0, hours: new Map() };
    days.push(day);
    days.sort((a, b) => (a.name < b.name ? -1 : 1));
  }
  const hour = day.hours.get(at) ?? { count: 0, visits: 0 };
  day.hours.set(at, hour);
  for (const one of [day, hour]) {
    one.count += count;
    one.visits += visits;
  }
}

let pending = 0;
function soon() {
  if (pending) return;
  pending = setTimeout(() => {
    pending = 0;
    if (!root.contains(document.activeElement)) show();
  }, 1000);
}

function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const dated = (name) => format("date", new Date(`${name}T12:00:00Z`));

function address(changes) {
  const query = new URLSearchParams(root.dataset.query);
  for (const [name, value] of Object.entries(changes)) query.set(name, value);
  return `${base}/?${query}`;
}

// A bar of faces, with one of visits before it.
function bar({ x, width, of, most, href, name, isOn, high }) {
  const label = `${name}: ${tally(of.count, of.visits, word)}`;
  const tall = (count) => (count > 0 ? Math.max(2, Math.round((count / most) * (high - 4))) : 0);
  const rect = (kind, count) =>
    svg("rect", {
      class: kind,
      x: x + 1,
      y: high - tall(count),
      width: width - 2,
      height: tall(count),
      rx: 2,
    });
  const link = svg("a", { href, "aria-label": label, tabindex: "-1", class: isOn ? "is-on" : "" });
  link.append(
    svg("title", {}, label),
    svg("rect", { class: "ground", x, y: 0, width, height: high }),
    rect("bar", of.count),
  );
  if (of.visits < of.count && word === "face") link.append(rect("visits", of.visits));
  if (isOn) link.setAttribute("aria-current", "true");
  return link;
}

// Days without faces have a place, unless there are many in a row: a device whose clock was not
// set would add fifty years.
function places() {
  const found = [];
  let before = null;
  for (const day of days) {
    const at = Date.parse(`${day.name}T00:00:00Z`) / 86_400_000;
    const gap = before === null ? 0 : at - before - 1;
    if (gap > 21) found.push({ gap: true }, { gap: true });
    else
      for (let index = 1; index <= gap; index += 1)
        found.push({
          name: new Date((before + index) * 86_400_000).toISOString().slice(0, 10),
          count: 0,
        });
    found.push(day);
    before = at;
  }
  return found;
}

function show() {
  const spots = places();
  const most = Math.max(1, ...days.map((day) => day.count));
  const room =
    (root.querySelector(".by-day")?.clientWidth ??
      root.clientWidth - (innerWidth > 860 ? 400 : 24)) - 8;
  const wide = Math.max(NARROWEST, Math.min(WIDEST, Math.floor(room / spots.length)));
  const picture = svg("svg", {
    width: spots.length * wide,
    height: HIGH + 18,
    role: "group",
    "aria-label": "Days",
  });
  const months = [];
  let month = "";
  spots.forEach((spot, index) => {
    const x = index * wide;
    if (spot.gap) {
      picture.append(svg("circle", { class: "gap", cx: x + wide / 2, cy: HIGH - 3, r: 1.5 }));
      return;
    }
    if (spot.count) {
      picture.append(
        bar({
          x,
          width: wide,
          of: spot,
          most,
          href: address({ day: spot.name }),
          name: dated(spot.name),
          isOn: spot.name === current,
          high: HIGH,
        }),
      );
    } else
      picture.append(
        svg("rect", { class: "none", x: x + 3, y: HIGH - 1, width: wide - 6, height: 1 }),
      );
    if (spot.name.slice(0, 7) !== month) {
      month = spot.name.slice(0, 7);
      months.push({ x, date: new Date(`${spot.name}T12:00:00Z`) });
    }
  });
  months.forEach(({ x, date }, index) => {
    if ((months[index + 1]?.x ?? spots.length * wide) - x < LABEL) return; // the next one's place
    const text = date.toLocaleDateString(undefined, {
      month: "short",
      year: "numeric",
      timeZone: "UTC",
    });
    picture.append(svg("text", { x: x + 1, y: HIGH + 14 }, text));
  });
  const scroll = root.querySelector(".by-day")?.scrollLeft;
  const byDay = Object.assign(document.createElement("div"), { className: "by-day" });
  byDay.append(picture);
  const byHour = Object.assign(document.createElement("div"), { className: "by-hour" });
  root.replaceChildren(byDay, byHour);
  drawn = true;
  hours(byHour);
  rove(picture);
  if (scroll === undefined) center(byDay, picture);
  else byDay.scrollLeft = scroll;
}

function center(box, picture) {
  const on = picture.querySelector(".is-on .bar");
  box.scrollLeft = on ? Number(on.getAttribute("x")) - box.clientWidth / 2 : box.scrollWidth;
}

function hours(box) {
  const day = days.find((one) => one.name === current);
  if (!day) return box.replaceChildren();
  const most = Math.max(1, ...[...day.hours.values()].map((one) => one.count));
  const picture = svg("svg", {
    viewBox: `0 0 336 ${HIGH + 18}`,
    role: "group",
    "aria-label": `Hours of ${dated(current)}`,
  });
  for (let hour = 0; hour < 24; hour += 1) {
    const of = day.hours.get(hour);
    const x = hour * 14;
    if (of) {
      const isOn = root.dataset.day === current && root.dataset.hour === String(hour);
      picture.append(
        bar({
          x,
          width: 14,
          of,
          most,
          href: address({ day: current, hour }),
          name: `${dated(current)}, ${hour}:00 to ${hour}:59`,
          isOn,
          high: HIGH,
        }),
      );
    } else
      picture.append(svg("rect", { class: "none", x: x + 3, y: HIGH - 1, width: 8, height: 1 }));
    if (hour % 6 === 0) picture.append(svg("text", { x: x + 1, y: HIGH + 14 }, `${hour}:00`));
  }
  const title = Object.assign(document.createElement("p"), {
    className: "hint",
    textContent: `${dated(current)}, ${tally(day.count, day.visits, word)}`,
  });
  box.replaceChildren(title, picture);
  rove(picture);
}

// All bars are one tab stop; arrow keys move between them.
function rove(picture) {
  const links = [...picture.querySelectorAll("a")];
  const start = links.find((link) => link.classList.contains("is-on")) ?? links.at(-1);
  start?.setAttribute("tabindex", "0");
  picture.addEventListener("keydown", (event) => {
    const at = links.indexOf(document.activeElement);
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: links.length - 1 }[event.key];
    if (at < 0 || to === undefined || !links[to]) return;
    event.preventDefault();
    links[at].setAttribute("tabindex", "-1");
    links[to].setAttribute("tabindex", "0");
    links[to].focus();
    links[to].scrollIntoView({ block: "nearest", inline: "nearest" });
  });
}

// The day that the reader looks at is marked.
let looking = 0;
addEventListener(
  "scroll",
  () => {
    if (!drawn || looking) return;
    looking = requestAnimationFrame(() => {
      looking = 0;
      const inView = document.elementFromPoint(innerWidth / 2, 120)?.closest(".day")?.dataset.day;
      if (inView && inView !== current && !root.contains(document.activeElement)) {
        current = inView;
        show();
      }
    });
  },
  { passive: true },
);
