// What the detector sees. One stream repeats a line of JSON, then as many bytes of JPEG as its
// "bytes" says. The stream is open only while the page is visible. Of several cameras one is shown
// large, by the stream; all are shown small, by a request every second with the same parts.

const LATE = 2; // seconds after which a picture is no longer called live
const FLASH = 600; // milliseconds that a box stays green after a shot of it was sent
const KEPT = 12; // faces in the strip

const $ = (id) => document.getElementById(id);
const context = $("canvas").getContext("2d");

let paused = false;
let underWay = null; // AbortController of the stream
let size = null; // width, height of the frame
let marks = [];
let verdicts = {};
let seenAt = 0; // performance.now() of the newest picture, or of the beginning
let trouble = ""; // what the detector says is wrong
let rate = null; // frames per second
let pointer = null; // where the size is shown, as fractions of the picture
let camera = decodeURIComponent(location.hash.slice(1)); // shown large; "" for the first
let cameras = []; // names of all, if there are several
const boxes = new Map(); // by track
const flashes = new Map(); // by track: until when

function make(tag, text = "", name = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  if (name) element.className = name;
  return element;
}

// --- the stream

async function* parts(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let held = new Uint8Array(0);
  const more = async () => {
    const { done, value } = await reader.read();
    if (done) return false;
    const joined = new Uint8Array(held.length + value.length);
    joined.set(held);
    joined.set(value, held.length);
    held = joined;
    return true;
  };
  for (;;) {
    while (!held.includes(10)) if (!(await more())) return;
    const end = held.indexOf(10);
    const facts = JSON.parse(decoder.decode(held.subarray(0, end)));
    const next = end + 1 + facts.bytes;
    while (held.length < next) if (!(await more())) return;
    yield [facts, held.slice(end + 1, next)];
    held = held.slice(next);
  }
}

async function look() {
  underWay = new AbortController();
  const live = camera ? `live?camera=${encodeURIComponent(camera)}` : "live";
  const answer = await fetch(live, { signal: underWay.signal, cache: "no-store" });
  if (!answer.ok) throw new Error((await answer.text()).trim());
  seenAt = performance.now();
  for await (const [facts, bytes] of parts(answer.body)) await TAKE[facts.kind]?.(facts, bytes);
  throw new Error("The detector closed the connection.");
}

const TAKE = {
  hello(facts) {
    $("camera").textContent = facts.camera ?? "Live preview";
    $("device").textContent = facts.device ? `on ${facts.device}` : "";
    document.title = `${facts.camera ?? "camera"}: facepipe preview`;
    cameras = facts.cameras?.length > 1 ? facts.cameras : [];
    camera = cameras.length ? facts.camera : "";
    showCameras();
    if (facts.min_face && !$("now").textContent) {
      $("min-face").value = facts.min_face;
      $("now").textContent = `Current value: ${facts.min_face}.`;
    }
    for (const item of [...$("sent").children]) drop(item);
    $("none-sent").hidden = false;
    showSize();
  },
  state(facts) {
    seenAt = performance.now() - facts.age * 1000;
    const reasons = Object.entries(facts.reasons).map(([name, reason]) => `${name}: ${reason}`);
    trouble = [...facts.stuck.map((name) => `${name} is stuck`), ...reasons].join(", ");
    showState();
  },
  async frame(facts, bytes) {
    const picture = await createImageBitmap(new Blob([bytes], { type: "image/jpeg" }));
    if ($("canvas").width !== picture.width || $("canvas").height !== picture.height) {
      $("canvas").width = picture.width;
      $("canvas").height = picture.height;
      $("stage").style.setProperty("--ratio", picture.width / picture.height);
    }
    context.drawImage(picture, 0, 0);
    picture.close();
    size = facts.size;
    marks = facts.marks;
    verdicts = facts.verdicts;
    rate = facts.figures.frames_per_second ?? null;
    showMarks();
    showFigures(facts.figures);
    showSize();
    showState();
  },
  face(facts, bytes) {
    const { track = "?", quality, captured } = facts.facts;
    const time = captured ? new Date(captured).toLocaleTimeString() : "";
    const item = make("li");
    const image = make("img");
    image.src = URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" }));
    image.alt = `Face of track ${track}, ${time}`;
    const head = make("div");
    head.append(make("b", track), ` ${time}`);
    const kept = quality === undefined ? "" : `q ${Number(quality).toFixed(2)}, `;
    item.append(image, head, make("div", `${kept}${Math.ceil(facts.png_bytes / 1000)} kB`));
    $("sent").prepend(item);
    $("none-sent").hidden = true;
    while ($("sent").children.length > KEPT) drop($("sent").lastElementChild);
  },
};

function drop(item) {
  URL.revokeObjectURL(item.firstElementChild.src);
  item.remove();
}

// --- all cameras, small

function showCameras() {
  $("cameras").hidden = !cameras.length;
  if ($("cameras").children.length !== cameras.length)
    $("cameras").replaceChildren(...cameras.map(newCamera));
  for (const button of $("cameras").children)
    button.setAttribute("aria-current", button.dataset.camera === camera);
}

function newCamera(name) {
  const button = make("button");
  button.type = "button";
  button.dataset.camera = name;
  const image = make("img");
  image.alt = "";
  button.append(image, make("b", name), make("small", "waiting"));
  button.addEventListener("click", () => choose(name));
  return button;
}

function choose(name) {
  if (name === camera) return;
  camera = name;
  history.replaceState(null, "", `#${encodeURIComponent(name)}`);
  [size, marks, verdicts, rate] = [null, [], {}, null];
  $("now").textContent = "";
  $("canvas").width = $("canvas").width; // which empties it
  showMarks();
  showCameras();
  chosen = true;
  underWay?.abort();
}

async function glance() {
  if (!cameras.length || paused || document.hidden) return;
  try {
    const answer = await fetch("cameras", { cache: "no-store" });
    if (answer.ok) for await (const part of parts(answer.body)) showSmall(...part);
  } catch {
    // The stream's own state says that the detector is not there.
  }
}

function showSmall(facts, bytes) {
  const button = $("cameras").children[cameras.indexOf(facts.camera)];
  if (!button) return;
  const [image, , state] = button.children;
  const reasons = Object.values(facts.reasons);
  if (bytes.length) {
    URL.revokeObjectURL(image.src);
    image.src = URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" }));
  }
  const late = facts.age > 2 * LATE;
  button.classList.toggle("bad", late || reasons.length > 0);
  state.textContent =
    reasons.join(", ") || (late ? `no frames for ${Math.floor(facts.age)} s` : "live");
}

// --- the picture

function showMarks() {
  const now = performance.now();
  const gone = new Set(boxes.keys());
  for (const mark of marks) {
    gone.delete(mark.track);
    if (mark.sent) flashes.set(mark.track, now + FLASH);
    if (!boxes.has(mark.track)) boxes.set(mark.track, newBox(mark.track));
    place(boxes.get(mark.track), mark, (flashes.get(mark.track) ?? 0) > now);
  }
  for (const track of gone) {
    boxes.get(track).remove();
    boxes.delete(track);
    flashes.delete(track);
  }
  spread();
}

// Labels stand above their boxes; one that would cover another goes below.
function spread() {
  const taken = [];
  for (const box of boxes.values()) {
    let at = box.firstElementChild.getBoundingClientRect();
    if (taken.some((other) => overlap(at, other))) {
      box.classList.toggle("top");
      at = box.firstElementChild.getBoundingClientRect();
    }
    taken.push(at);
  }
}

function overlap(one, other) {
  return (
    one.left < other.right &&
    other.left < one.right &&
    one.top < other.bottom &&
    other.top < one.bottom
  );
}

function newBox(track) {
  const box = make("li");
  const label = make("span");
  label.append(make("b", `${track}`), make("em"));
  box.append(label);
  $("faces").append(box);
  return box;
}

function place(box, { box: [x, y, w, h], score, quality, confirmed, track }, sent) {
  Object.assign(box.style, {
    left: `${(100 * x) / size[0]}%`,
    top: `${(100 * y) / size[1]}%`,
    width: `${(100 * w) / size[0]}%`,
    height: `${(100 * h) / size[1]}%`,
  });
  box.classList.toggle("candidate", !confirmed);
  box.classList.toggle("sent", sent);
  box.classList.toggle("top", y < 0.08 * size[1]);
  box.classList.toggle("right", x > 0.75 * size[0]);
  box.querySelector("em").textContent = confirmed
    ? ` q ${digits(quality, 2)}  s ${digits(score, score > 1.5 ? 0 : 2)}`
    : ` ${verdicts[track] ?? ""}`;
}

function digits(value, count) {
  return value === null ? "-" : value.toFixed(count);
}

// --- the smallest face

function showSize() {
  const fraction = Number($("min-face").value);
  $("setting").textContent = cameras.length ? `min_face = ${fraction}` : `MIN_FACE=${fraction}`;
  $("smallest").hidden = !($("show-size").checked && size);
  if (!size) return;
  const side = fraction * size[1];
  const smaller = marks.filter((mark) => mark.box[3] < side).length;
  $("min-face-means").textContent =
    `${Math.round(side)} of ${size[1]} pixels; ` +
    (marks.length ? `${smaller} of ${marks.length} in view are smaller` : "nobody in view");
  const wide = side / size[0];
  const x = clamp(pointer ? pointer[0] - wide / 2 : 0.02, 0, 1 - wide);
  const y = clamp(pointer ? pointer[1] - fraction / 2 : 0.97 - fraction, 0, 1 - fraction);
  Object.assign($("smallest").style, {
    left: `${100 * x}%`,
    top: `${100 * y}%`,
    width: `${100 * wide}%`,
    height: `${100 * fraction}%`,
  });
  $("smallest").classList.toggle("flip", x + wide > 0.8);
  $("smallest").firstElementChild.textContent = `MIN_FACE ${fraction}`;
}

function clamp(value, low, high) {
  return Math.max(low, Math.min(high, value));
}

async function copy() {
  try {
    await navigator.clipboard.writeText($("setting").textContent);
    announce(`${$("setting").textContent} copied`);
    $("copy").textContent = "Copied";
  } catch {
    getSelection().selectAllChildren($("setting"));
    $("copy").textContent = "Ctrl+C";
  }
  setTimeout(() => {
    $("copy").textContent = "Copy";
  }, 2000);
}

// --- figures

function showFigures(figures) {
  const entries = Object.entries(figures).filter(([, value]) => value !== null);
  const times = entries.filter(([name]) => name.endsWith("_ms"));
  const others = entries.filter(([name]) => !name.endsWith("_ms"));
  const sum = times.reduce((total, [, value]) => total + value, 0);
  const period = rate ? 1000 / rate : 0;
  showBar(times, Math.max(sum, period));
  $("bar-means").textContent =
    `${digits(sum, 1)} ms per frame` + (period ? `, one frame every ${digits(period, 1)} ms` : "");
  $("figures").replaceChildren(
    ...[...times, ...others].map(([name, value], part) => {
      const row = make("tr");
      const head = make("th", name.replace(/_ms$/, "").replaceAll("_", " "));
      head.scope = "row";
      const isTime = part < times.length;
      if (isTime) head.prepend(make("i", "", `p${part % 6}`));
      const whole = Number.isInteger(value) && !isTime && !name.endsWith("_second");
      row.append(head, make("td", digits(value, whole ? 0 : 1) + (isTime ? " ms" : "")));
      return row;
    }),
  );
}

function showBar(times, whole) {
  $("bar").replaceChildren(
    ...times.map(([, value], part) => {
      const piece = make("i", "", `p${part % 6}`);
      piece.style.width = `${(100 * value) / whole}%`;
      return piece;
    }),
  );
}

// --- the state

function showState(lost = "") {
  const age = (performance.now() - seenAt) / 1000;
  let state = "live";
  let text = rate === null ? "live" : `live, ${digits(rate, 1)} frames per second`;
  let message = "";
  if (paused) {
    [state, text] = ["paused", "paused"];
  } else if (lost) {
    [state, text, message] = ["lost", "not connected; trying again", lost];
  } else if (age > LATE) {
    [state, text] = ["late", `no frames for ${Math.floor(age)} s`];
    message = `No frames for ${Math.floor(age)} s${trouble ? `\n${trouble}` : ""}`;
  } else if (!size) {
    [state, text, message] = ["connecting", "connected", "Waiting for the first picture"];
  }
  if ($("state").dataset.state !== state) announce(message || text);
  $("state").dataset.state = $("stage").dataset.state = state;
  $("state-text").textContent = text;
  $("message").textContent = message;
}

let announcedAt = 0;
let announcedFaces = 0;

function announce(text) {
  announcedAt = performance.now();
  $("announced").textContent = text;
}

function announceFaces() {
  if (marks.length === announcedFaces || performance.now() - announcedAt < 3000) return;
  announcedFaces = marks.length;
  announce(marks.length === 1 ? "1 face in view" : `${marks.length || "No"} faces in view`);
}

function sleep(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

let wake = () => {};
let chosen = false; // another camera, whose stream is to be opened at once

async function run() {
  let pause = 1000;
  for (;;) {
    while (paused || document.hidden) {
      await new Promise((resolve) => {
        wake = resolve;
      });
    }
    const began = performance.now();
    try {
      await look();
    } catch (error) {
      if (paused || document.hidden || chosen) {
        chosen = false;
        continue;
      }
      showState(error instanceof TypeError ? "The detector is not responding." : error.message);
    }
    pause = performance.now() - began > 10000 ? 1000 : Math.min(2 * pause, 8000);
    await sleep(pause);
  }
}

function changed() {
  if (paused || document.hidden) underWay?.abort();
  else wake();
}

$("pause").addEventListener("click", () => {
  paused = !paused;
  $("pause").setAttribute("aria-pressed", paused);
  $("pause").textContent = paused ? "Resume" : "Pause";
  seenAt = performance.now();
  showState();
  changed();
});
document.addEventListener("visibilitychange", changed);
$("min-face").addEventListener("input", () => {
  $("show-size").checked = true;
  showSize();
});
$("show-size").addEventListener("change", showSize);
$("copy").addEventListener("click", copy);
$("stage").addEventListener("pointermove", (event) => {
  const at = $("stage").getBoundingClientRect();
  pointer = [(event.clientX - at.left) / at.width, (event.clientY - at.top) / at.height];
  showSize();
});
$("stage").addEventListener("pointerleave", () => {
  pointer = null;
  showSize();
});
setInterval(announceFaces, 1000);
setInterval(glance, 1000);
run();
