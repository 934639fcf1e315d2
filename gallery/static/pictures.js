// Pictures that failed to load, such as when the reader's network changed, are requested again.

import { $ } from "./page.js";

const AGAIN = 2000; // milliseconds
const TRIES = 5;
$("days").addEventListener(
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
