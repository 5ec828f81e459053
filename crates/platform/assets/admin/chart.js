// A chart of lines over the last 15 minutes, with one axis. An SVG has no need of a library for this.

import { h, s, write } from "./dom.js";

const SPAN_MS = 15 * 60 * 1000;
/** Between two samples that a line does not join: nobody knows what was between them. */
const GAP_MS = 3500;
const HEIGHT = 160;
const LEFT = 44;
const BOTTOM = 20;
const TOP = 8;

/** `lines` are `{ key, label, as: "a" | "b" | "c", stepped }`; `unit(value)` writes a value. */
export function chart({ title, lines, unit, least }) {
  const svg = s("svg", { class: "chart", role: "img" });
  const keys = lines.map((line) => ({ ...line, text: h("span") }));
  const list = h("ul", { class: "keys" }, ...keys.map(({ as, text }) => h("li", {}, s("svg", { viewBox: "0 0 26 10", "aria-hidden": "true" }, s("path", { class: `trace ${as}`, d: "M0 5h26" })), text)));
  const figure = h("figure", {}, h("figcaption", {}, title), list, svg);
  let shown = null;
  const again = new ResizeObserver(() => shown && draw(shown));
  again.observe(figure);

  function draw(samples) {
    shown = samples;
    const width = Math.max(svg.clientWidth, 200);
    const end = samples.at.at(-1) ?? Date.now();
    const top = ceiling(Math.max(least, ...lines.map(({ key }) => most(samples[key]))));
    const x = (at) => LEFT + ((at - end + SPAN_MS) / SPAN_MS) * (width - LEFT - 4);
    const y = (value) => TOP + (1 - value / top) * (HEIGHT - TOP - BOTTOM);
    svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    const rules = [0, top / 2, top].flatMap((value) => [
      s("path", { class: "rule", d: `M${LEFT} ${y(value)}H${width - 4}` }),
      s("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, unit(value)),
    ]);
    const minutes = [15, 10, 5, 0].map((ago) =>
      s("text", { x: x(end - ago * 60_000), y: HEIGHT - 4, "text-anchor": ago === 0 ? "end" : ago === 15 ? "start" : "middle" }, ago === 0 ? "now" : `−${ago} min`));
    const traces = lines.map(({ key, as, stepped }) => s("path", { class: `trace ${as}`, d: path(samples.at, samples[key], x, y, stepped) }));
    svg.replaceChildren(...rules, ...minutes, ...traces);
    const said = keys.map(({ key, label, text }) => {
      const values = samples[key];
      const now = values.at(-1);
      const told = `${label}: ${now === null || now === undefined ? "none" : unit(now)}, at most ${unit(most(values))}`;
      write(text, told);
      return told;
    });
    svg.setAttribute("aria-label", `${title}, the last 15 minutes. ${said.join("; ")}`);
  }

  return { figure, draw };
}

const most = (values) => values.reduce((most, value) => (value > most ? value : most), 0);

/** The least round number that is not less. */
function ceiling(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 6, 8, 10].map((step) => step * power).find((round) => round >= value * 0.9999);
}

function path(times, values, x, y, stepped) {
  let d = "";
  let before = null;
  for (const [index, value] of values.entries()) {
    const at = times[index];
    // What is older than the axis belongs to a time in which the process stood still.
    if (value === null || value === undefined || x(at) < LEFT) {
      before = null;
      continue;
    }
    const goes = before !== null && at - before <= GAP_MS;
    d += goes ? (stepped ? `H${x(at).toFixed(1)}V${y(value).toFixed(1)}` : `L${x(at).toFixed(1)} ${y(value).toFixed(1)}`) : `M${x(at).toFixed(1)} ${y(value).toFixed(1)}h1`;
    before = at;
  }
  return d;
}
