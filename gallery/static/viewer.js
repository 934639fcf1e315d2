// The viewer: one face in a dialog over the grid, at the address of its own page.

import { $, announce, ask, base, make, parsed } from "./page.js";
import { enliven, stepOf } from "./single.js";
import * as grid from "./grid.js";
import { load } from "./following.js";

const dialog = $("viewer");
const query = $("days").dataset.query;
const home = location.pathname + location.search;
let shown = null; // ref
let underWay = null; // AbortController

const path = (ref) => `/face/${ref}${query}`;

export function isOpen() {
  return dialog.open;
}

export function open(ref) {
  history.pushState({ ref }, "", base + path(ref));
  show(ref);
}

async function show(ref) {
  shown = ref;
  underWay?.abort();
  underWay = new AbortController();
  if (!dialog.open) {
    $("shown").replaceChildren(skeleton(ref));
    dialog.showModal();
  }
  dialog.setAttribute("aria-busy", "true");
  try {
    const answer = await ask(`${path(ref)}${query ? "&" : "?"}part`, undefined, {
      signal: underWay.signal,
    });
    const article = parsed(await answer.text()).querySelector("article");
    const image = article.querySelector(".whole");
    await Promise.race([
      image.decode().catch(() => 0),
      new Promise((done) => setTimeout(done, 200)),
    ]);
    if (shown === ref) put(article, ref);
  } catch (error) {
    if (error.name === "AbortError" || shown !== ref) return;
    $("shown").replaceChildren(
      make("p", { className: "failed", textContent: error.message }),
      closer(),
    );
  } finally {
    if (shown === ref) dialog.removeAttribute("aria-busy");
  }
}

// Until the face is loaded, show its thumbnail from the grid.
function skeleton(ref) {
  const image = make("img", { className: "under", src: `${base}/thumb/${ref}`, alt: "" });
  const picture = make("div", { className: "picture" }, image);
  const about = make("div", { className: "about-face" }, closer());
  return make("article", { className: "face" }, picture, about);
}

function closer() {
  const button = make("button", { type: "button", className: "close", textContent: "Close" });
  button.addEventListener("click", close);
  return button;
}

const CONTROLS = [".newer", ".later", ".close", ".copy", ".delete", "summary"];

function put(article, ref) {
  const had = CONTROLS.find(
    (name) =>
      document.activeElement?.closest("#shown")?.querySelector(name) === document.activeElement,
  );
  const details = $("shown").querySelector("details")?.open;
  aim(article.querySelector(".newer"), beside(article, -1), -1);
  aim(article.querySelector(".later"), beside(article, 1), 1);
  article.querySelector(".close").addEventListener("click", (event) => {
    event.preventDefault();
    close();
  });
  if (details && article.querySelector("details")) article.querySelector("details").open = true;
  $("shown").replaceChildren(article);
  enliven(article, step, gone);
  const focus = [had, ".later", ".close"].map((name) => name && article.querySelector(name));
  focus.find((control) => control && !control.hidden)?.focus({ preventScroll: true });
  const image = article.querySelector(".whole");
  dialog.setAttribute("aria-label", image.alt);
  announce(image.alt);
  for (const by of [1, -1])
    if (beside(article, by)) new Image().src = `${base}/image/${beside(article, by)}`;
  if (!grid.beside(ref, 1))
    load().then(
      (more) =>
        more && shown === ref && aim(article.querySelector(".later"), beside(article, 1), 1),
    );
}

// The neighbours in the grid, or beyond its ends those that the server names.
function beside(article, by) {
  const { ref, newer, older } = article.dataset;
  return grid.beside(ref, by) ?? ((by < 0 ? newer : older) || null);
}

function aim(link, ref, by) {
  link.hidden = !ref;
  if (!ref) return;
  link.href = base + path(ref);
  link.onclick = (event) => {
    event.preventDefault();
    step(by);
  };
}

function step(by) {
  const article = $("shown").querySelector("article");
  const ref = article?.dataset.ref === shown ? beside(article, by) : grid.beside(shown, by);
  if (!ref) return;
  history.replaceState({ ref }, "", base + path(ref));
  show(ref);
}

function gone() {
  const was = shown;
  const article = $("shown").querySelector("article");
  const next = beside(article, 1) ?? beside(article, -1);
  if (grid.shots(was) < 2) grid.remove([was]); // else the visit's tile shows another of its shots
  if (!next) return close();
  history.replaceState({ ref: next }, "", base + path(next));
  show(next);
}

function close() {
  if (history.state?.ref) history.back();
  else closed();
}

function closed() {
  if (!dialog.open) return;
  underWay?.abort();
  const was = shown;
  shown = null;
  dialog.close();
  $("shown").replaceChildren();
  grid.reveal(was);
}

dialog.addEventListener("cancel", (event) => {
  event.preventDefault();
  close();
});
dialog.addEventListener("keydown", (event) => {
  const by = stepOf(event);
  if (!by) return;
  event.preventDefault();
  step(by);
});
dialog.addEventListener("click", (event) => event.target === dialog && close());
addEventListener("popstate", (event) => {
  if (event.state?.ref) show(event.state.ref);
  else if (location.pathname + location.search === home) closed();
});
// Chromium closes a dialog at the second Escape, whatever `cancel` says.
dialog.addEventListener("close", () => shown && history.state?.ref && history.back());
// A page that was reloaded at a face's history entry is still the page of the grid.
if (history.state?.ref) history.replaceState(null, "");
