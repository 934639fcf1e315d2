// Small charts of a device's last day, by uPlot. One value per five minutes; gaps remain gaps.

import { zone } from "./page.js";

const HEIGHT = 84;
const FIGURES = {
  frames: ["Frames per second", (value) => plain(value)],
  faces: ["Faces per second", (value) => plain(value)],
  waiting: ["Faces waiting", (value) => plain(value)],
  dropped: ["Faces dropped per five minutes", (value) => plain(value)],
  round_trip: [
    "Round trip",
    (value) => (value < 1 ? `${plain(value * 1000)} ms` : `${plain(value)} s`),
  ],
};

const number = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const clock = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  hourCycle: "h23",
  timeZone: zone,
});
const dark = matchMedia("(prefers-color-scheme: dark)");

const plain = (value) =>
  value >= 1000 ? Math.round(value).toLocaleString("en") : number.format(value);
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function make(tag, text = "", name = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  if (name) element.className = name;
  return element;
}

function options(width, words, over) {
  const line = colour("--good");
  return {
    width,
    height: HEIGHT,
    tzDate: (at) => uPlot.tzDate(new Date(at * 1000), zone),
    legend: { show: false },
    cursor: { y: false, points: { size: 6 }, drag: { setScale: false, x: false, y: false } },
    padding: [6, 4, 0, 0],
    scales: { x: { time: true }, y: { range: (_, __, most) => [0, most > 0 ? most * 1.1 : 1] } },
    axes: [
      {
        stroke: colour("--soft"),
        size: 22,
        space: 70,
        font: "11px system-ui, sans-serif",
        grid: { show: false },
        ticks: { show: false },
        values: (_, splits) => splits.map((at) => clock.format(at * 1000)),
      },
      {
        stroke: colour("--soft"),
        size: 44,
        space: 26,
        gap: 4,
        font: "11px system-ui, sans-serif",
        grid: { stroke: colour("--line"), width: 1 },
        ticks: { show: false },
        values: (_, splits) => splits.map(words),
      },
    ],
    series: [
      {},
      {
        stroke: line,
        width: 1.5,
        fill: `${line}22`,
        spanGaps: false,
        points: { show: alone, size: 3, fill: line },
      },
    ],
    hooks: { setCursor: [(plot) => over(plot.cursor.idx)] },
  };
}

// Points are drawn only where a value stands between two gaps: a line would not show it.
function alone(plot, series, from, to) {
  const values = plot.data[series];
  const gap = (index) => values[index] === null || values[index] === undefined;
  const found = [];
  for (let index = from; index <= to; index++)
    if (!gap(index) && gap(index - 1) && gap(index + 1)) found.push(index);
  return found.length ? found : false;
}

function chart(grid, figure, at, values) {
  const [title, words] = FIGURES[figure];
  const known = values.filter((value) => value !== null);
  const last = values.findLast((value) => value !== null);
  const summary = `last ${words(last)}, lowest ${words(Math.min(...known))}, highest ${words(Math.max(...known))}`;
  const holder = make("figure", "", "chart");
  const caption = make("figcaption");
  const said = make("span", summary, "soft");
  caption.append(make("b", title), " ", said);
  const stage = make("div");
  stage.setAttribute("role", "img");
  stage.setAttribute("aria-label", `${title} over the last day: ${summary}`);
  holder.append(caption, stage);
  grid.append(holder);
  const over = (index) => {
    const value = index === null || index === undefined ? undefined : values[index];
    if (index === null || index === undefined) said.textContent = summary;
    else
      said.textContent = `${clock.format(at[index] * 1000)}: ${value === null ? "unknown" : words(value)}`;
  };
  return {
    stage,
    width: 0,
    plot: null,
    make: (width) => new uPlot(options(width, words, over), [at, values], stage),
  };
}

/** Make the charts of `samples`, the JSON of /fleet/samples. `show(panel)` puts them beside their
 * services, again whenever those are new; `end()` takes them away. */
export function day(samples) {
  const grids = new Map(); // by service and instance
  const charts = [];
  for (const { service, instance, begin, figures } of samples.services) {
    const grid = make("div", "", "charts");
    for (const [figure, values] of Object.entries(figures)) {
      if (!(figure in FIGURES) || (figure === "dropped" && !values.some((value) => value > 0)))
        continue;
      const at = values.map((_, index) => begin + index * samples.every);
      charts.push(chart(grid, figure, at, values));
    }
    if (grid.children.length) grids.set(`${service} ${instance}`, grid);
  }

  const draw = (redraw) => {
    for (const one of charts) {
      const width = Math.floor(one.stage.clientWidth);
      if (!width || (!redraw && width === one.width)) continue;
      one.width = width;
      one.plot?.destroy();
      one.plot = one.make(width);
    }
  };
  const redraw = () => draw(true);
  const resized = new ResizeObserver(() => draw(false));
  dark.addEventListener("change", redraw);
  return {
    show(panel) {
      for (const section of panel.querySelectorAll(".service")) {
        const grid = grids.get(section.dataset.name);
        if (grid) section.append(grid);
      }
      resized.observe(panel);
      draw(false);
    },
    end() {
      resized.disconnect();
      dark.removeEventListener("change", redraw);
      for (const one of charts) one.plot?.destroy();
      for (const grid of grids.values()) grid.remove();
    },
  };
}
