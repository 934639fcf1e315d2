// Deleting: the dialog that says how many faces of which devices, and the progress.

import { $, announce, ask, many } from "./page.js";

const TYPED = 100; // faces; for more than these the number has to be typed
const LOOK_EVERY = 500; // milliseconds
const TOLD = "told"; // where the line about a deletion outlives the page
let running = false;
let leaving = false;

// Ask, then delete. A selection is { refs } or { filter }. Resolves to the job when it is over, or
// to null when the reader keeps the faces.
export async function remove(selection) {
  let found = await counted(selection);
  let trouble = "";
  while (found) {
    if (!(await confirmed(found, trouble))) return null;
    try {
      const { count: expected, added } = found;
      const job = await (await ask("/delete", { selection, expected, added })).json();
      return await watched(job);
    } catch (error) {
      trouble = error.message; // such as that there are fewer by now
      found = await counted(selection);
    }
  }
  return null;
}

async function counted(selection) {
  const found = await (await ask("/count", { selection })).json();
  if (found.count) return found;
  tell("These faces no longer exist.");
  return null;
}

function confirmed({ count, where }, trouble) {
  const dialog = $("confirm");
  const yes = dialog.querySelector('[value="yes"]');
  const input = $("confirm-number").querySelector("input");
  $("confirm-title").textContent = `Delete ${many(count)}?`;
  $("confirm-where").textContent = `From ${where}.`;
  $("confirm-trouble").textContent = trouble;
  yes.textContent = `Delete ${many(count)}`;
  $("confirm-number").hidden = count <= TYPED;
  $("confirm-number").querySelector("b").textContent = count;
  input.value = "";
  const check = () => {
    yes.disabled = count > TYPED && input.value.replace(/\D/g, "") !== String(count);
  };
  input.oninput = check;
  check();
  dialog.returnValue = "no";
  dialog.showModal();
  (count > TYPED ? input : dialog.querySelector('[value="no"]')).focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

// Load the page again, once a deletion that runs is over. What it said is there to be read then.
export function reload() {
  leaving = running;
  if (running) return;
  if (!$("job").hidden) sessionStorage.setItem(TOLD, $("job").querySelector("span").textContent);
  location.reload();
}

async function watched(job) {
  running = true;
  try {
    return await progress(job);
  } finally {
    running = false;
    if (leaving) reload();
  }
}

async function progress(job) {
  const bar = $("job").querySelector("progress");
  $("job").hidden = bar.hidden = false;
  bar.max = job.total;
  let found = job;
  for (;;) {
    bar.value = found.done;
    $("job").querySelector("span").textContent = found.sentence ?? `Deleting ${many(found.total)}`;
    if (found.state !== "running") break;
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY));
    found = await (await ask(`/jobs/${job.id}`)).json();
  }
  announce(found.sentence);
  vanish(8000);
  return found;
}

export function tell(text) {
  $("job").hidden = false;
  $("job").querySelector("progress").hidden = true;
  $("job").querySelector("span").textContent = text;
  vanish(6000);
}

let vanishing = 0;

function vanish(after) {
  clearTimeout(vanishing);
  vanishing = setTimeout(() => {
    $("job").hidden = true;
  }, after);
}

const told = sessionStorage.getItem(TOLD);
sessionStorage.removeItem(TOLD);
if (told) tell(told);
