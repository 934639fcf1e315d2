// The progress of running deletions.

import { ask } from "./page.js";

async function follow(box, id) {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 700));
    const job = await (await ask(`/jobs/${id}`)).json();
    box.querySelector("progress").value = job.done;
    box.querySelector(".sentence").textContent = job.sentence;
    if (job.state !== "running") return location.reload();
  }
}

for (const box of document.querySelectorAll("[data-job]")) follow(box, box.dataset.job);
