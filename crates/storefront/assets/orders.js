// What was ordered.

import { problemBox, sleep } from "./api.js";
import { country, h, heading, moment, money, say, words } from "./dom.js";
import { cards, keyOf } from "./buy.js";
import * as session from "./session.js";

const STATUS = {
  pending_payment: "Waiting for the payment",
  paid: "Paid",
  payment_failed: "The payment failed",
  expired: "Expired: nothing was charged",
};
const told = (status) => STATUS[status] ?? words(status);
const number = (order) => order.number ?? order.id.slice(-12);

/** `/?orders` */
export async function list(_params, signal) {
  if (!(await session.required("To see your orders, log in."))) return loggedOut("Your orders");
  const page = async (cursor) => {
    const query = new URLSearchParams({ limit: 20, ...(cursor && { cursor }) });
    return (await session.sendAs({ path: `/v1/orders?${query}`, signal })).data;
  };
  const first = await page();
  const rows = h("tbody", {}, first.data.map(row));
  const more = h("button", { type: "button", class: "more" }, "Show more");
  let cursor = first.page.next_cursor;
  more.hidden = cursor === null;
  more.addEventListener("click", async () => {
    more.disabled = true;
    try {
      const next = await page(cursor);
      const added = next.data.map(row);
      rows.append(...added);
      added[0]?.querySelector("a").focus();
      cursor = next.page.next_cursor;
      more.hidden = cursor === null;
    } catch (problem) {
      more.before(problemBox(problem));
    } finally {
      more.disabled = false;
    }
  });
  const head = ["Order", "Placed", "Status", "Total"].map((text) => h("th", { scope: "col" }, text));
  return {
    title: "Your orders",
    nodes: [
      heading("Your orders"),
      first.data.length === 0
        ? h("p", { class: "empty" }, "You have not ordered anything yet. ", h("a", { href: "/" }, "See all products"), ".")
        : h("table", { class: "orders" }, h("thead", {}, h("tr", {}, head)), rows),
      more,
    ],
  };
}

function row(order) {
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, h("a", { href: `/?order=${order.id}` }, number(order))),
    h("td", {}, moment(order.placed_at)),
    h("td", {}, told(order.status)),
    h("td", { class: "number" }, money(order.total)),
  );
}

function loggedOut(title) {
  return {
    title,
    nodes: [heading(title), h("p", { class: "empty" }, "Nobody is logged in. ", h("a", { href: "/?orders" }, "Log in"), ".")],
  };
}

/** `/?order=ID`; while its payment is not known it is looked at again and again. */
export async function order(params, signal) {
  const path = `/v1/orders/${encodeURIComponent(params.get("order"))}`;
  if (!(await session.required("To see your order, log in."))) return loggedOut("Your order");
  const read = async () => (await session.sendAs({ path, signal })).data;
  const body = h("div", { class: "order" });
  let now = await read();
  const show = (next) => {
    now = next;
    body.replaceChildren(...details(now, reload).filter(Boolean));
  };
  async function reload() {
    show(await read());
    await settle();
  }
  async function settle() {
    for (let left = 60; now.status === "pending_payment" && left > 0; left -= 1) {
      await sleep(2000, signal);
      const next = await read();
      if (next.status === "pending_payment") continue;
      show(next);
      say(`The order: ${told(next.status).toLowerCase()}.`);
    }
  }
  show(now);
  settle().catch((problem) => signal.aborted || body.prepend(problemBox(problem)));
  return { title: `Order ${number(now)}`, nodes: [heading(`Order ${number(now)}`), body] };
}

function details(order, reload) {
  const { address } = order;
  const line = (item) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, item.name, h("small", {}, item.sku)),
      h("td", { class: "number" }, `${item.quantity} × ${money(item.unit_price)}`),
      h("td", { class: "number" }, money({ ...item.unit_price, amount: item.unit_price.amount * item.quantity })),
    );
  return [
    h("p", { class: `state ${order.status}` }, told(order.status)),
    order.status === "payment_failed" && payAgain(order, reload),
    order.status === "pending_payment" && h("p", {}, "Nobody knows yet whether the payment went through. This page finds out by itself."),
    h(
      "table",
      { class: "items" },
      h("tbody", {}, order.items.map(line)),
      h("tfoot", {}, h("tr", {}, h("th", { scope: "row", colspan: "2" }, "Total"), h("td", { class: "number" }, money(order.total)))),
    ),
    h(
      "div",
      { class: "two" },
      h(
        "section",
        {},
        h("h2", {}, "Sent to"),
        h("address", {}, [address.name, address.line1, address.line2, `${address.postal_code} ${address.city}`, country(address.country)]
          .filter(Boolean)
          .map((text) => h("span", {}, text))),
      ),
      h(
        "section",
        {},
        h("h2", {}, "What happened"),
        h("ol", { class: "events" }, order.events.map((event) => h("li", {}, h("span", {}, words(event.kind)), h("time", { datetime: event.at }, moment(event.at))))),
      ),
    ),
    CANCELLABLE.includes(order.status) && cancelling(order, reload),
  ];
}

const CANCELLABLE = ["pending_payment", "payment_failed", "paid"];

/** For as long as the shop keeps the units. */
function payAgain(order, reload) {
  const outcome = h("div");
  const form = h(
    "form",
    { class: "again" },
    h("h2", {}, "Pay with another card"),
    order.reserved_until && h("p", {}, `What was ordered is kept for you until ${moment(order.reserved_until)}.`),
    cards("payment_token"),
    outcome,
    h("button", { class: "primary", type: "submit" }, `Pay ${money(order.total)}`),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const body = { payment_token: new FormData(form).get("payment_token") };
    act(order, "payment", body, { button: form.querySelector("button"), outcome, reload });
  });
  return form;
}

function cancelling(order, reload) {
  const outcome = h("div");
  const button = h("button", { type: "button" }, "Cancel this order");
  button.addEventListener("click", () => act(order, "cancel", undefined, { button, outcome, reload }));
  return h("div", { class: "cancel" }, outcome, button);
}

/** Asks for something that happens once, however often it is asked for. */
async function act(order, what, body, { button, outcome, reload }) {
  button.disabled = true;
  outcome.replaceChildren();
  const path = `/v1/orders/${order.id}/${what}`;
  // Each attempt to pay is one of its own; the same one, whose answer was lost, is not.
  const key = keyOf({ path, body, payments: order.payments.length });
  try {
    await session.sendAs({ method: "POST", path, body, key });
    await reload();
    document.querySelector("h1").focus();
  } catch (problem) {
    if (problem.code === "payment-declined") {
      await reload();
      return say(`${problem.title}.`);
    }
    outcome.replaceChildren(problemBox(problem));
    button.disabled = false;
  }
}
