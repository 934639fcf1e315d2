// One face, alone on its page or in the viewer: what its buttons, keys and a swipe do.

import { announce } from "./page.js";
import { remove, tell } from "./deleting.js";

const SWIPE = 50; // pixels

// article: as facts.html has it. go(step): to the newer (-1) or older (1) one. gone(): called after
// it was deleted.
export function enliven(article, go, gone) {
  const image = article.querySelector(".whole");
  const failed = () => {
    image.hidden = true;
    article.querySelector(".no-picture").hidden = false;
  };
  const sized = () => {
    // Faces are small: up to four times their size they are still worth looking at.
    image.style.maxWidth = `min(100%, ${4 * image.naturalWidth}px)`;
    article.querySelector(".picture").classList.add("loaded");
  };
  if (image.complete && image.src) (image.naturalWidth ? sized : failed)();
  image.addEventListener("error", failed);
  image.addEventListener("load", sized);
  swipes(article.querySelector(".picture"), go);
  article.querySelector(".copy")?.addEventListener("click", copy);
  article.querySelector(".delete")?.addEventListener("click", async (event) => {
    event.preventDefault();
    try {
      const job = await remove({ refs: [article.dataset.ref] });
      if (job?.done) gone();
    } catch (error) {
      tell(error.message);
    }
  });
}

async function copy(event) {
  const button = event.currentTarget;
  const link = new URL(button.dataset.link, location.href).href;
  try {
    await navigator.clipboard.writeText(link);
    announce("Link copied");
    button.textContent = "Copied";
  } catch {
    prompt("Copy this link:", link); // where the page may not write to the clipboard
  }
  setTimeout(() => {
    button.textContent = "Copy link";
  }, 2000);
}

function swipes(area, go) {
  let from = null;
  area.addEventListener(
    "touchstart",
    (event) => {
      from =
        event.touches.length === 1 ? [event.touches[0].clientX, event.touches[0].clientY] : null;
    },
    { passive: true },
  );
  area.addEventListener("touchend", (event) => {
    if (!from) return;
    const [x, y] = [
      event.changedTouches[0].clientX - from[0],
      event.changedTouches[0].clientY - from[1],
    ];
    from = null;
    if (Math.abs(x) > SWIPE && Math.abs(x) > 2 * Math.abs(y)) go(x < 0 ? 1 : -1);
  });
}

// The direction of a key; 0 for other keys, and where the key has another meaning.
export function stepOf(event) {
  if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest?.("input, select"))
    return 0;
  if (document.querySelector("#confirm[open]")) return 0;
  return { ArrowLeft: -1, ArrowRight: 1 }[event.key] ?? 0;
}
