// For every page: times in the reader's zone and language, announcements for screen readers, and
// requests that report what went wrong.

const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
export const zone = document.documentElement.dataset.zone; // in which this page was made
// The path below which a proxy serves the pages, such as /faces.
export const base = document.documentElement.dataset.base;

export const $ = (id) => document.getElementById(id);

// The server groups faces by the reader's days, so it must know the zone; a page rendered without
// it is reloaded once.
function keepZone() {
  if (!own || own === zone) return;
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `tz=${own}; path=${base}/; max-age=31536000; SameSite=Lax${secure}`;
  if (
    !document.cookie.includes(`tz=${own}`) ||
    !document.querySelector("#days, .face, [data-zoned]")
  )
    return;
  if (sessionStorage.getItem("zone") === own) return; // which the server does not know
  sessionStorage.setItem("zone", own);
  location.reload();
}

const FORMS = {
  date: { weekday: "short", day: "numeric", month: "long", year: "numeric" },
  day: { weekday: "short", day: "numeric", month: "long", year: "numeric" },
  time: { timeStyle: "medium" },
  short: { day: "numeric", month: "short", hour: "numeric", minute: "2-digit" },
  full: {
    weekday: "short",
    day: "numeric",
    month: "long",
    year: "numeric",
    hour: "numeric",
    minute: "2-digit",
    second: "2-digit",
    timeZoneName: "short",
  },
};
const formats = new Map();

export function format(form, value) {
  if (!formats.has(form)) {
    const timeZone = form === "date" ? "UTC" : zone;
    formats.set(form, new Intl.DateTimeFormat(undefined, { ...FORMS[form], timeZone }));
  }
  return formats.get(form).format(value);
}

// Format the times within an element for the reader.
export function dress(root) {
  for (const time of root.querySelectorAll("time[data-as]")) {
    const moment = new Date(time.dateTime);
    if (!Number.isNaN(moment.getTime())) time.textContent = format(time.dataset.as, moment);
  }
}

export function many(count, one = "face") {
  return `${count.toLocaleString()} ${one}${count === 1 ? "" : "s"}`;
}

// How many faces and of how many visits, where these are fewer.
export function tally(count, visits, one = "face") {
  return visits < count && one === "face"
    ? `${many(count)}, ${many(visits, "visit")}`
    : many(count, one);
}

const dates = new Intl.DateTimeFormat("en-CA", {
  timeZone: zone,
  year: "numeric",
  month: "2-digit",
  day: "2-digit",
});
export const dateOf = (ms) => dates.format(ms);

export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

// Elements from HTML that our own server has rendered.
export function parsed(text) {
  const template = document.createElement("template");
  template.innerHTML = text;
  dress(template.content);
  return template.content;
}

export function announce(text) {
  const open = [...document.querySelectorAll("dialog[open] .said")].pop();
  (open ?? $("announced")).textContent = text;
}

// When the browser leaves the page, pending requests fail: do not report those.
let leaving = false;
addEventListener("beforeunload", () => {
  leaving = true;
  setTimeout(() => {
    leaving = false; // it was a download, after which the page stays
  }, 5000);
});

// Fetch a path below `base`; throws an Error with a sentence when that fails.
export async function ask(path, content, options = {}) {
  const headers = { Accept: "application/json" };
  if (content !== undefined) {
    Object.assign(options, { method: "POST", body: JSON.stringify(content) });
    headers["Content-Type"] = "application/json";
  }
  let answer;
  try {
    answer = await fetch(base + path, { headers, ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    if (leaving) return new Promise(() => {});
    throw new Error("The gallery is not responding.");
  }
  if (answer.status === 401)
    location.assign(
      `${base}/login?next=${encodeURIComponent(location.pathname + location.search)}`,
    );
  if (!answer.ok) throw new Error(await sentence(answer));
  return answer;
}

async function sentence(answer) {
  try {
    return (await answer.json()).error;
  } catch {
    return `The gallery responded with status ${answer.status}.`;
  }
}

// Show a line at the top of the page about a subject, or remove it.
export function notice(about, text) {
  const notices = $("notices");
  let line = [...notices.children].find((child) => child.dataset.about === about);
  if (!text) return line?.remove();
  if (!line) {
    line = make("p", { className: "notice" });
    line.dataset.about = about;
    notices.append(line);
  }
  if (line.textContent !== text) line.textContent = text;
}

keepZone();
dress(document);
// The page of faces sets this itself once all its modules are loaded; until then its forms work.
if (!$("days")) document.documentElement.classList.add("scripts");
