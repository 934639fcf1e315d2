// The page of one face.

import { enliven, stepOf } from "./single.js";

const article = document.querySelector("article.face");
const close = article.querySelector(".close");

function go(step) {
  const link = article.querySelector(step < 0 ? ".newer" : ".later");
  if (!link.hidden) location.assign(link.href);
}

enliven(article, go, () => location.assign(close.href));
addEventListener("keydown", (event) => {
  const step = stepOf(event);
  if (step) go(step);
  else if (event.key === "Escape" && !document.querySelector("dialog[open]"))
    location.assign(close.href);
});
