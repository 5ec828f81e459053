// Which page is shown. Every page is a query of `/`, so that it can be linked to, kept and reloaded.

import { Problem, problemBox } from "./api.js";
import * as browse from "./browse.js";
import * as buy from "./buy.js";
import * as cart from "./cart.js";
import { $, h, heading, plural, say } from "./dom.js";
import * as orders from "./orders.js";
import * as session from "./session.js";

const PAGES = [
  ["product", browse.product],
  ["cart", buy.show],
  ["checkout", buy.checkout],
  ["orders", orders.list],
  ["order", orders.order],
];

const main = $("main");
let showing = new AbortController();
/** Lists that were left, as they were: whoever comes back finds the place. */
const left = new Map();
let shown = null;

async function show({ back = false, first = false } = {}) {
  showing.abort();
  showing = new AbortController();
  const { signal } = showing;
  const params = new URLSearchParams(location.search);
  $("q").value = params.get("q") ?? "";
  const href = location.href;
  if (back && left.has(href)) return restore(href, left.get(href));
  const [, page] = PAGES.find(([name]) => params.has(name)) ?? [null, browse.list];
  const waiting = setTimeout(() => main.replaceChildren(skeleton(page)), first ? 0 : 150);
  main.setAttribute("aria-busy", "true");
  try {
    const { title, nodes, keep } = await page(params, signal);
    if (signal.aborted) return;
    put(href, title, nodes, keep);
    window.scrollTo(0, 0);
    if (!first) main.querySelector("h1")?.focus({ preventScroll: true });
  } catch (problem) {
    if (signal.aborted) return;
    if (problem instanceof Problem && problem.status === 401 && !session.isOpen()) {
      if (await session.logIn("The session has ended: log in again.")) return show();
    }
    const title = problem.status === 404 ? "There is no such page" : "This did not work";
    put(href, title, [heading(title), problemBox(problem, () => show())]);
    main.querySelector("h1").focus();
  } finally {
    clearTimeout(waiting);
    if (!signal.aborted) main.removeAttribute("aria-busy");
  }
}

function put(href, title, nodes, keep = false) {
  shown = { href, title, keep };
  document.title = title === "All products" ? "Forebay" : `${title} · Forebay`;
  main.replaceChildren(...nodes.filter(Boolean));
}

/** Before another page takes its place. */
function leave() {
  if (!shown?.keep) return;
  left.delete(shown.href);
  left.set(shown.href, { ...shown, nodes: [...main.childNodes], y: window.scrollY, focus: document.activeElement });
  if (left.size > 5) left.delete(left.keys().next().value);
}

function restore(href, { title, nodes, y, focus }) {
  put(href, title, nodes, true);
  window.scrollTo(0, y);
  (main.contains(focus) ? focus : main.querySelector("h1")).focus({ preventScroll: true });
}

/** Holds the room that the page will take, so that nothing jumps. */
function skeleton(page) {
  if (page !== browse.list) return h("p", { class: "loading" }, "Loading…");
  const cards = Array.from({ length: 12 }, () =>
    h("li", { class: "card" }, h("div", { class: "picture" }), h("div", { class: "blank" }), h("div", { class: "blank short" })),
  );
  return h("div", { "aria-hidden": "true" }, h("div", { class: "list-head" }, h("div", { class: "blank title" })), h("ul", { class: "grid" }, cards));
}

function go(href, replace = false) {
  leave();
  // What was said in passing belongs to the page that is left, unless this is what it led to.
  if (!replace) $("status").replaceChildren();
  history[replace ? "replaceState" : "pushState"](null, "", href);
  show();
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[href]");
  const plain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
  if (!link || !plain || event.defaultPrevented || link.target) return;
  const url = new URL(link.href);
  if (url.origin !== location.origin || url.pathname !== "/" || url.hash) return;
  event.preventDefault();
  go(url.href);
});

// Forms that lead to a list: the search, and the choices above a list.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (event.defaultPrevented || form.method !== "get" || new URL(form.action).pathname !== "/") return;
  event.preventDefault();
  const query = new URLSearchParams([...new FormData(form)].filter(([, value]) => value.trim() !== ""));
  go(query.size > 0 ? `/?${query}` : "/");
});

$("skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});

window.addEventListener("popstate", () => {
  leave();
  show({ back: true });
});
window.addEventListener("go", ({ detail }) => go(detail.href, detail.replace));
history.scrollRestoration = "manual";

cart.onChange(() => {
  const units = cart.units();
  const count = $("cart-count");
  count.hidden = units === 0;
  count.textContent = units;
  count.setAttribute("aria-label", plural(units, "unit", "units"));
});

session.onChange(async () => {
  $("account").textContent = session.isOpen() ? "Log out" : "Log in";
  try {
    if (session.isOpen()) await cart.claim();
    await cart.read();
  } catch (problem) {
    say(`${problem.title ?? "The cart could not be read"}.`);
  }
});

$("account").addEventListener("click", async () => {
  if (!session.isOpen()) {
    await session.logIn();
    return;
  }
  try {
    await session.logOut();
    say("Logged out.");
  } catch (problem) {
    say(`Logged out here. ${problem.title}.`);
  }
  go("/");
});

$("account").textContent = session.isOpen() ? "Log out" : "Log in";
show({ first: true });
cart.read().catch(() => undefined);
