// Products: lists of them, and one.

import { problemBox, send } from "./api.js";
import * as cart from "./cart.js";
import { $, field, h, heading, money, plural, say, words } from "./dom.js";

const SORTS = { popular: "Best selling", newest: "Newest", price_asc: "Price, lowest first", price_desc: "Price, highest first", name: "Name" };
const PER_PAGE = 24;

/** `/` with what of a list is wanted: `q`, `category`, `sort`. */
export async function list(params, signal) {
  const q = params.get("q")?.trim() ?? "";
  const category = params.get("category") ?? "";
  const sort = params.get("sort") ?? (q ? "relevance" : "popular");
  const query = new URLSearchParams({ limit: PER_PAGE, sort });
  if (q) query.set("q", q);
  if (category) query.set("category", category);

  const [page, categories] = await Promise.all([fetchPage(query, signal), tree(signal)]);
  const chosen = categories.flatMap((top) => [top, ...(top.children ?? [])]).find(({ slug }) => slug === category);
  const title = q ? `Products for “${q}”` : (chosen?.name ?? "All products");

  const grid = h("ul", { class: "grid" }, page.data.map(card));
  const more = h("button", { type: "button", class: "more" }, "Show more");
  let cursor = page.page.next_cursor;
  more.hidden = cursor === null;
  more.addEventListener("click", async () => {
    more.disabled = true;
    try {
      query.set("cursor", cursor);
      const next = await fetchPage(query);
      const cards = next.data.map(card);
      grid.append(...cards);
      cards[0]?.querySelector("a").focus();
      say(`${plural(cards.length, "more product", "more products")}`);
      cursor = next.page.next_cursor;
      more.hidden = cursor === null;
      more.previousElementSibling?.matches(".problem") && more.previousElementSibling.remove();
    } catch (problem) {
      more.before(problemBox(problem));
    } finally {
      more.disabled = false;
    }
  });

  return {
    title,
    nodes: [
      h("div", { class: "list-head" }, heading(title), controls({ q, category, sort, categories })),
      old(page),
      page.page.resembling && h("p", { class: "note" }, "Nothing has these words. This is what resembles them."),
      page.data.length === 0
        ? h("p", { class: "empty" }, "Nothing matches. Try fewer or other words, or ", h("a", { href: "/" }, "see all products"), ".")
        : grid,
      more,
    ],
    keep: true,
  };
}

async function fetchPage(query, signal) {
  const { data, headers } = await send({ path: `/v1/products?${query}`, signal });
  return { ...data, age: headers.get("Cache-Status")?.includes("degraded") ? headers.get("Age") : null };
}

/** The shop is so busy that it answered with what it had: that is said. */
function old({ age }) {
  if (age === null) return null;
  const text = `The shop is busy: this list is ${plural(Number(age), "second", "seconds")} old.`;
  return h("p", { class: "note", role: "status" }, text);
}

let known = null;

async function tree(signal) {
  known ??= (await send({ path: "/v1/categories", signal })).data;
  return known;
}

/** Choices take effect at once: what they lead to is a page like any other. */
function controls({ q, category, sort, categories }) {
  const go = (event) => event.target.form.requestSubmit();
  const option = (value, text, chosen, indent = "") =>
    h("option", { value, selected: value === chosen }, indent + text);
  const sorts = q ? { relevance: "Best match", ...SORTS } : SORTS;
  return h(
    "form",
    { class: "controls", action: "/", method: "get" },
    q && h("input", { type: "hidden", name: "q", value: q }),
    h(
      "label",
      {},
      h("span", {}, "Category"),
      h(
        "select",
        { name: "category", on: { change: go } },
        option("", "All", category),
        categories.map((top) => [
          option(top.slug, top.name, category),
          (top.children ?? []).map((leaf) => option(leaf.slug, leaf.name, category, "   ")),
        ]),
      ),
    ),
    h(
      "label",
      {},
      h("span", {}, "Sort by"),
      h("select", { name: "sort", on: { change: go } }, Object.entries(sorts).map(([value, text]) => option(value, text, sort))),
    ),
  );
}

/** What it shows is said beside it. One that does not come leaves its room empty. */
function picture(image, loading) {
  const hide = (event) => (event.target.hidden = true);
  const img = h("img", { src: image.url, alt: "", width: "480", height: "480", loading, decoding: "async", on: { error: hide } });
  return h("div", { class: "picture" }, img);
}

function card(product) {
  return h(
    "li",
    { class: "card" },
    h(
      "a",
      { href: `/?product=${encodeURIComponent(product.slug)}` },
      picture(product.images[0], "lazy"),
      h("h2", {}, product.name),
      h("p", { class: "brand-name" }, product.brand),
      h("p", { class: "price" }, money(product.price), " ", stock(product.availability)),
    ),
  );
}

const STOCK = { in_stock: null, low: "Only a few left", out_of_stock: "Sold out" };

function stock(state) {
  const text = STOCK[state];
  return text ? h("span", { class: `stock ${state}` }, text) : null;
}

/** `/?product=SLUG` */
export async function product(params, signal) {
  const { data, headers } = await send({ path: `/v1/products/${encodeURIComponent(params.get("product"))}`, signal });
  const { product: item, skus, images, availability } = data;
  const price = h("p", { class: "price large" }, money(skus[0]?.price ?? item.price));
  const form = h(
    "form",
    { class: "add" },
    skus.length > 1 && variants(skus, (sku) => (price.textContent = money(sku.price))),
    field({
      id: "quantity",
      label: "Quantity",
      control: h("input", { name: "quantity", type: "number", min: "1", max: "99", value: "1", required: true, inputmode: "numeric" }),
    }),
    h("button", { class: "primary", type: "submit", disabled: availability.state === "out_of_stock" || skus.length === 0 }, "Add to cart"),
    h("div", { class: "outcome" }),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    addFrom(form, item, skus);
  });
  const age = headers.get("Cache-Status")?.includes("degraded") ? headers.get("Age") : null;
  return {
    title: item.name,
    nodes: [
      h("p", { class: "crumbs" }, h("a", { href: "/" }, "All products"), " › ", crumb(item)),
      old({ age }),
      h(
        "article",
        { class: "product" },
        picture(images[0], "eager"),
        h(
          "div",
          {},
          h("p", { class: "brand-name" }, item.brand),
          heading(item.name),
          price,
          h("p", {}, stock(availability.state) ?? h("span", { class: "stock" }, "In stock")),
          h("p", { class: "description" }, item.description),
          form,
        ),
      ),
    ],
  };
}

function crumb({ category }) {
  return h("a", { href: `/?category=${encodeURIComponent(category)}` }, words(category));
}

function variants(skus, chosen) {
  const name = (sku) => Object.values(sku.attributes).join(", ") || sku.sku;
  const kind = words(Object.keys(skus[0].attributes).join(", ") || "variant");
  return h(
    "fieldset",
    { class: "choices" },
    h("legend", {}, kind),
    skus.map((sku, n) =>
      h(
        "label",
        { class: "choice" },
        h("input", { type: "radio", name: "sku", value: sku.sku, checked: n === 0, on: { change: () => chosen(sku) } }),
        h("span", {}, name(sku), h("small", {}, money(sku.price))),
      ),
    ),
  );
}

async function addFrom(form, item, skus) {
  const button = form.querySelector("button");
  const outcome = form.querySelector(".outcome");
  const values = new FormData(form);
  outcome.replaceChildren();
  button.disabled = true;
  try {
    await cart.add(values.get("sku") ?? skus[0].sku, Number(values.get("quantity")));
    say(`In the cart: ${values.get("quantity")} × ${item.name}.`, { href: "/?cart", text: "See the cart" });
    $("to-cart").classList.add("fresh");
  } catch (problem) {
    outcome.replaceChildren(problemBox(problem));
  } finally {
    button.disabled = false;
  }
}
