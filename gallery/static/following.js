// What follows the tiles that are loaded: it comes when the reader is near the end.

import { $, ask, parsed } from "./page.js";
import { reload } from "./deleting.js";
import * as grid from "./grid.js";

const NEAR = 1500; // pixels from the window
const root = $("days");
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
  if (!grid.older()?.dataset.next) return Promise.resolve(false);
  loading ??= next().finally(() => {
    loading = null;
  });
  return loading;
}

async function next() {
  const last = grid.older();
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
    for (const section of content.querySelectorAll(".day")) grid.adopt(section);
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
  let line = grid.older().querySelector(".hint");
  if (!text) return line?.remove();
  line ??= grid
    .older()
    .appendChild(Object.assign(document.createElement("span"), { className: "hint" }));
  line.textContent = ` ${text} Trying again.`;
}

grid.onEmptied(() => load().then((more) => more || reload()));
if (grid.older()) end.observe(grid.older());
