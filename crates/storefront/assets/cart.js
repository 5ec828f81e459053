// The cart: of whoever is logged in, or of nobody. That of nobody is opened by a token, and becomes a part of the account's
// when somebody logs in.
//
// Id and token are in localStorage, so that a cart outlives its tab: who has them sees and changes a cart, and nothing else.

import { send } from "./api.js";
import * as session from "./session.js";

const KEPT = "forebay.cart";

let count = null;
let claiming = null;
const changed = new EventTarget();

export const onChange = (listener) => changed.addEventListener("change", listener);

/** How many units are in it, as it was last seen. */
export const units = () => count ?? 0;

/** Nobody's cart, if this browser has one. */
function kept() {
  try {
    return JSON.parse(localStorage.getItem(KEPT));
  } catch {
    return null;
  }
}

function seen(view) {
  count = view === null ? 0 : view.items.reduce((sum, line) => sum + line.quantity, 0);
  changed.dispatchEvent(new Event("change"));
  return view;
}

/** What was in it has been ordered. */
export function forget() {
  localStorage.removeItem(KEPT);
  seen(null);
}

/** As whoever may open it. */
async function open(request) {
  await claiming?.catch(() => undefined);
  const nobodys = kept();
  return nobodys ? send({ ...request, cart: nobodys.token }) : session.sendAs(request);
}

/** The cart as it is now; null where there is none, or none any more. */
export async function read(signal) {
  await claiming?.catch(() => undefined);
  const nobodys = kept();
  if (nobodys === null && !session.isOpen()) return seen(null);
  try {
    const { data } = await open({ path: nobodys ? `/v1/carts/${nobodys.id}` : "/v1/cart", signal });
    if (data.status === "open") return seen(data);
  } catch (problem) {
    if (problem.status !== 404) throw problem;
  }
  localStorage.removeItem(KEPT);
  return seen(null);
}

/** Sets how many there shall be of a SKU; none takes its line away. */
export async function put(cart, sku, quantity) {
  const path = `/v1/carts/${cart}/items/${encodeURIComponent(sku)}`;
  return seen((await open({ method: "PUT", path, body: { quantity } })).data);
}

/** Adds to what there is of a SKU, in a cart that is made where there is none. */
export async function add(sku, quantity) {
  const view = (await read()) ?? (await make());
  const had = view.items.find((line) => line.sku === sku)?.quantity ?? 0;
  return put(view.id, sku, had + quantity);
}

async function make() {
  const request = { method: "POST", path: "/v1/carts" };
  if (session.isOpen()) return (await session.sendAs(request)).data;
  const { data } = await send(request);
  localStorage.setItem(KEPT, JSON.stringify({ id: data.id, token: data.cart_token }));
  return data;
}

/** Puts what is in nobody's cart into that of whoever has logged in. */
export function claim() {
  claiming ??= claimOnce().finally(() => (claiming = null));
  return claiming;
}

async function claimOnce() {
  const nobodys = kept();
  if (nobodys === null) return;
  try {
    await session.sendAs({ method: "POST", path: `/v1/carts/${nobodys.id}/claim`, cart: nobodys.token });
  } catch (problem) {
    // It is gone, or was ordered.
    if (problem.status !== 404 && problem.status !== 409) throw problem;
  }
  localStorage.removeItem(KEPT);
}
