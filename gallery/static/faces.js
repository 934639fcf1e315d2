// The page of faces: opens faces in the viewer; the rest is in the modules.

import { $, ask, make } from "./page.js";
import "./pictures.js";
import * as grid from "./grid.js";
import * as picks from "./picks.js";
import * as viewer from "./viewer.js";
import * as arrivals from "./arrivals.js";
import * as timeline from "./timeline.js";

document.documentElement.classList.add("scripts");
timeline.draw();
arrivals.onFaces(timeline.add);

// picks.js has taken the click if faces are being selected.
$("picked").addEventListener("click", (event) => {
  const link = event.target.closest(".tile a");
  if (
    !link ||
    link.closest(".stack") || // which leads to its visit
    event.defaultPrevented ||
    event.ctrlKey ||
    event.metaKey ||
    event.shiftKey ||
    picks.isSelecting()
  )
    return;
  event.preventDefault();
  viewer.open(link.closest(".tile").dataset.ref);
});

// Arrow keys go from tile to tile.
addEventListener("keydown", (event) => {
  const tile = event.target.closest?.(".tile");
  if (!tile || viewer.isOpen() || event.ctrlKey || event.metaKey || event.altKey) return;
  const columns = getComputedStyle(tile.parentElement).gridTemplateColumns.split(" ").length;
  const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
  if (!by) return;
  event.preventDefault();
  let ref = tile.dataset.ref;
  for (let at = 0; ref && at < Math.abs(by); at += 1)
    ref = grid.beside(ref, Math.sign(by)) ?? (at ? ref : null);
  if (ref) grid.reveal(ref);
});

// Escape leads back from a visit.
addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.defaultPrevented || document.querySelector("dialog[open]"))
    return;
  if ($("back") && !picks.isSelecting()) location.assign($("back").href);
});

// With many devices, their names are fetched when the reader focuses the field.
$("devices")?.previousElementSibling.addEventListener(
  "focus",
  async () => {
    const found = await (await ask("/devices")).json();
    $("devices").replaceChildren(...found.map(([value]) => make("option", { value })));
  },
  { once: true },
);

// Empty fields are left out of the address.
$("filters")?.addEventListener("submit", (event) => {
  for (const field of event.target.elements) {
    const plain = { order: "newest", kind: "face", shots: field.dataset.plain }[field.name] ?? "";
    if (field.name && field.value === plain) field.disabled = true;
  }
});
addEventListener("pageshow", () => {
  for (const field of $("filters")?.elements ?? []) field.disabled = false;
});

$("filtering")?.addEventListener("click", ({ currentTarget }) => {
  currentTarget.setAttribute(
    "aria-expanded",
    currentTarget.getAttribute("aria-expanded") !== "true",
  );
});

sorted();

// Sharpness and visits are read from the bucket where they are not known yet; when they are, the day
// is shown again.
async function sorted() {
  const hint = document.querySelector(".reading");
  if (!hint) return;
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const { known, count } = await (await ask(hint.dataset.known)).json();
    const text = `${known.toLocaleString()} of ${count.toLocaleString()}`;
    hint.querySelector("span").textContent = text;
    if (known >= count) return location.reload();
  }
}
