// Elements and words. Text only ever becomes a text node: nothing here parses HTML.

const SVG = "http://www.w3.org/2000/svg";

export const $ = (id) => document.getElementById(id);

export function h(tag, props = {}, ...children) {
  return filled(document.createElement(tag), props, children);
}

export function s(tag, props = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), props, children);
}

function filled(element, props, children) {
  for (const [name, value] of Object.entries(props)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Writes only what is another text now: what somebody has marked to copy it stays marked. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Makes the rows of a table, or a list, those of `items`, in the elements that are there. */
export function rows(parent, items, make, fill) {
  while (parent.children.length > items.length) parent.lastElementChild.remove();
  items.forEach((item, index) => {
    if (index === parent.children.length) parent.append(make());
    fill(parent.children[index], item);
  });
}

/** `42 s`, `3.5 ms`: as exact as somebody reads it. */
export function time(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 1) return ms === 0 ? "0 ms" : `${ms.toFixed(2)} ms`;
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 10_000) return `${(ms / 1000).toFixed(1)} s`;
  if (ms < 120_000) return `${Math.round(ms / 1000)} s`;
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

export const clock = (at) => CLOCK.format(new Date(at));

export const count = (number) => number.toLocaleString("en-GB");

export const plural = (number, one, many) => `${count(number)} ${number === 1 ? one : many}`;

/** `predicted_wait` as people write it. */
export const words = (name) => name.replaceAll("_", " ");
