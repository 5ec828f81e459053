// The cart, and what it takes to buy it.

import { Problem, problemBox } from "./api.js";
import * as cart from "./cart.js";
import { COUNTRIES } from "./countries.js";
import { country, field, h, heading, money, say, showFaults } from "./dom.js";
import * as session from "./session.js";

const KEY = "forebay.key";

/** What the simulated payment provider knows. */
const CARDS = [
  ["tok_ok", "A card that is good", "The payment goes through."],
  ["tok_decline", "A card that is refused", "The provider declines, and nothing is charged."],
  ["tok_lost", "A bad line to the provider", "It charges the card, but its answer is lost; the order settles by itself."],
];

/** A choice of test cards, with whose name a form sends it. */
export function cards(name) {
  return h(
    "fieldset",
    { class: "choices stacked" },
    h("legend", {}, "Test card"),
    CARDS.map(([token, title, about], n) =>
      h("label", { class: "choice" }, h("input", { type: "radio", name, value: token, checked: n === 0 }), h("span", {}, title, h("small", {}, about))),
    ),
  );
}

const nothing = () => h("p", { class: "empty" }, "The cart is empty. ", h("a", { href: "/" }, "See all products"), ".");

/** `/?cart` */
export async function show(_params, signal) {
  const body = h("div", { class: "cart" });
  const draw = (view) => {
    if (view === null || view.items.length === 0) return body.replaceChildren(nothing());
    const outcome = h("div");
    const change = async (sku, quantity, focus) => {
      try {
        const next = await cart.put(view.id, sku, quantity);
        draw(next);
        say(next.total ? `The cart comes to ${money(next.total)}.` : "The cart is empty.");
        (body.querySelector(focus) ?? document.querySelector("h1")).focus();
      } catch (problem) {
        outcome.replaceChildren(problemBox(problem));
      }
    };
    body.replaceChildren(
      h("ul", { class: "lines" }, view.items.map((line) => row(line, change))),
      outcome,
      h(
        "div",
        { class: "sum" },
        h("p", {}, "Total ", h("strong", { class: "price large" }, view.total ? money(view.total) : "–")),
        h("a", { class: "primary", href: "/?checkout" }, "Check out"),
      ),
    );
  };
  draw(await cart.read(signal));
  return { title: "Your cart", nodes: [heading("Your cart"), body] };
}

function row(line, change) {
  const name = line.name ?? line.sku;
  const id = `quantity-${line.sku}`;
  const quantity = h("input", { id, type: "number", min: "1", max: "99", value: line.quantity, inputmode: "numeric" });
  quantity.addEventListener("change", () => {
    if (quantity.reportValidity() && quantity.value !== "") change(line.sku, Number(quantity.value), `#${CSS.escape(id)}`);
  });
  const total = line.unit_price && { ...line.unit_price, amount: line.unit_price.amount * line.quantity };
  return h(
    "li",
    { class: line.sellable ? "line" : "line gone" },
    h("div", {}, h("h2", {}, name), h("p", { class: "hint" }, line.sku, line.unit_price && ` · ${money(line.unit_price)} each`), trouble(line)),
    h("label", { class: "unseen", for: id }, `Quantity of ${name}`),
    quantity,
    h("p", { class: "price number" }, total ? money(total) : "–"),
    h("button", { class: "link", type: "button", "aria-label": `Remove ${name}`, on: { click: () => change(line.sku, 0, ".line input") } }, "Remove"),
  );
}

function trouble(line) {
  if (!line.sellable) return h("p", { class: "fault" }, "Not sold any more: remove it to order the rest.");
  if (line.available !== undefined && line.available < line.quantity) {
    return h("p", { class: "fault" }, line.available === 0 ? "Sold out." : `Only ${line.available} left.`);
  }
  return null;
}

/** `/?checkout` */
export async function checkout(_params, signal) {
  const title = "Check out";
  const view = await cart.read(signal);
  if (view === null || view.items.length === 0) return { title, nodes: [heading(title), nothing()] };
  if (!(await session.required("To buy, log in or create an account. The cart comes along."))) {
    return { title, nodes: [heading(title), h("p", { class: "empty" }, "Nobody is logged in. ", h("a", { href: "/?checkout" }, "Log in"), ".")] };
  }
  const mine = (await cart.read(signal)) ?? view;
  const known = await addressOf(signal);
  const form = h(
    "form",
    { class: "checkout", novalidate: true },
    h("div", { class: "outcome" }),
    h(
      "div",
      { class: "two" },
      h("section", {}, h("h2", {}, "Where it goes"), addressFields(known)),
      h(
        "section",
        {},
        h("h2", {}, "What it costs"),
        h("ul", { class: "summary" }, mine.items.map((line) => h("li", {}, h("span", {}, `${line.quantity} × ${line.name ?? line.sku}`), h("span", { class: "number" }, line.unit_price ? money({ ...line.unit_price, amount: line.unit_price.amount * line.quantity }) : "–")))),
        h("p", { class: "sum-line" }, h("span", {}, "Total"), h("strong", {}, mine.total ? money(mine.total) : "–")),
        cards("payment_token"),
        h("button", { class: "primary wide-button", type: "submit", disabled: mine.total === null }, mine.total ? `Buy for ${money(mine.total)}` : "Buy"),
      ),
    ),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    buy(form, mine, signal);
  });
  return { title, nodes: [heading(title), form] };
}

/** One that the account has kept, to begin with. */
async function addressOf(signal) {
  try {
    return (await session.sendAs({ path: "/v1/me/addresses", signal })).data[0] ?? {};
  } catch (problem) {
    if (problem instanceof Problem && problem.status !== 401) return {};
    throw problem;
  }
}

function addressFields(known) {
  const line = (name, label, autocomplete, more = {}) =>
    field({ id: `address-${name}`, label, control: h("input", { name, autocomplete, value: known[name] ?? "", maxlength: "200", ...more }) });
  const countries = COUNTRIES.map((code) => [code, country(code)]).sort(([, a], [, b]) => a.localeCompare(b));
  const here = known.country ?? navigator.language.split("-")[1] ?? "DE";
  return [
    line("name", "Name", "name"),
    line("line1", "Street and number", "address-line1"),
    line("line2", "What else helps to find it (optional)", "address-line2"),
    h("div", { class: "pair" }, line("postal_code", "Postal code", "postal-code", { maxlength: "20" }), line("city", "Town", "address-level2")),
    field({
      id: "address-country",
      label: "Country",
      control: h("select", { name: "country", autocomplete: "country" }, countries.map(([code, name]) => h("option", { value: code, selected: code === here }, name))),
    }),
  ];
}

/**
 * The key under which this very thing is sent. It is kept, so that the same sent again, also after a reload, is not done
 * twice; another cart, address or card is another order.
 */
export function keyOf(request) {
  const text = JSON.stringify(request);
  const kept = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
  if (kept?.text === text) return kept.key;
  const key = uuid();
  sessionStorage.setItem(KEY, JSON.stringify({ text, key }));
  return key;
}

/** `crypto.randomUUID` is for secure origins alone. */
function uuid() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function buy(form, view, signal) {
  const outcome = form.querySelector(".outcome");
  const button = form.querySelector("button[type=submit]");
  const { payment_token, line2, ...rest } = Object.fromEntries(new FormData(form));
  const address = line2 ? { ...rest, line2 } : rest;
  const body = { cart_id: view.id, cart_version: view.version, expected_total: view.total, payment_token, address };
  outcome.replaceChildren();
  button.disabled = true;
  try {
    const request = { method: "POST", path: "/v1/orders", body, key: keyOf(body), signal };
    const { data } = await session.sendAs(request);
    placed(data.id, "Thank you! The order is placed.");
  } catch (problem) {
    if (signal.aborted) return;
    const order = problem.location?.split("/").pop();
    if (problem.code === "payment-declined" && order) return placed(order, "The card was declined.");
    if (!(problem instanceof Problem)) return outcome.replaceChildren(problemBox(problem));
    const faults = showFaults(form, problem.errors, (error) => error.pointer?.replace("/address/", ""));
    if (problem.errors.length > 0 && faults.length === 0) return;
    problem.errors = faults;
    outcome.replaceChildren(problemBox(problem));
    outcome.scrollIntoView({ block: "center" });
  } finally {
    button.disabled = false;
  }
}

function placed(order, told) {
  sessionStorage.removeItem(KEY);
  cart.forget();
  say(told);
  window.dispatchEvent(new CustomEvent("go", { detail: { href: `/?order=${order}`, replace: true } }));
}
