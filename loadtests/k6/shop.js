// What the scenarios beside this file share: a client that repeats what docs/api.md allows, when it asks for it; the shop's journeys;
// and thresholds. Settings are given with -e: SHOP, RATE (journeys a second), SECONDS; ../README.md lists them.

import http from 'k6/http';
import exec from 'k6/execution';
import { sleep } from 'k6';
import { Counter, Rate } from 'k6/metrics';

const SHOP = (__ENV.SHOP || 'http://127.0.0.1:8080').replace(/\/+$/, '');
const PASSWORD = 'correct-horse-battery'; // of all users of the seed
const SESSIONS = 50; // the smallest seed has as many users

// Attempts by what they mean to whoever waits: each is one of 2xx, refused, running, failed.
const refused = new Rate('refused'); // 503 with a time to come back: nothing was executed
const failed = new Rate('failed'); // any other answer, or none
const unserved = new Rate('unserved'); // journeys that did not get what they came for, in spite of repeating
const journeys = new Counter('journeys');

const TRIES = 5;
const PATIENCE_S = 10;
const ORDER_PATIENCE_S = 30; // whoever does not ask what became of an order never learns what was bought
const REFUSALS = ['overloaded', 'draining', 'dependency-unavailable'];
const SORTS = ['newest', 'popular', 'price_asc', 'price_desc', 'name'];

const UNEXECUTED = 'only if it was not executed'; // twice would be two
const IDEMPOTENT = 'always';
const KEYED = 'with its key';

// 95 % of the attempts within so many milliseconds.
const WITHIN_MS = { list: 250, product: 250, cart: 250, item: 250, order: 500, refresh: 250, login: 500 };
const BROWSED = ['list', 'product'];
const BOUGHT = [...BROWSED, 'cart', 'item', 'order'];
export const ROUTES = { browse: BROWSED, login: ['login'], purchase: BOUGHT, mix: [...BOUGHT, 'refresh', 'login'] };

export function number(name, standard) {
  const value = Number(__ENV[name] || standard);
  if (!(value > 0)) throw new Error(`${name} is ${__ENV[name]}: give a number above 0`);
  return value;
}

// Journeys that begin at their time, whatever becomes of those before them: an open loop, as users are. Where all `users` are busy, k6
// drops the journey, and the threshold of dropped_iterations says that the rate was not kept.
export function arrivals(rate, seconds, users, more) {
  const [times, unit] = Number.isInteger(rate) ? [rate, '1s'] : [Math.round(rate * 100), '100s'];
  return Object.assign(
    { executor: 'constant-arrival-rate', rate: times, timeUnit: unit, duration: `${seconds}s`, preAllocatedVUs: users, gracefulStop: '40s' },
    more,
  );
}

// Of every scenario. `where` narrows latencies down to one scenario of a script that has several.
export function thresholds(routes, where = '') {
  const all = { journeys: ['count>0'], unserved: ['rate<0.01'], failed: ['rate<0.01'], dropped_iterations: ['count==0'] };
  for (const route of routes) all[`http_req_duration{name:${route}${where}}`] = [`p(95)<${WITHIN_MS[route]}`];
  return all;
}

export const STATISTICS = ['count', 'med', 'p(95)', 'p(99)', 'max'];

export function options(routes, rate, seconds) {
  return {
    scenarios: { steady: arrivals(rate, seconds, SESSIONS) },
    thresholds: thresholds(routes),
    summaryTrendStats: STATISTICS,
  };
}

function pause(answer, tries) {
  const ms = Number(answer.headers['Retry-After-Ms']);
  if (ms > 0) return Math.max(ms / 1000, 0.01);
  const seconds = Number(answer.headers['Retry-After']);
  return seconds > 0 ? seconds : Math.min(0.1 * 2 ** (tries - 1), 1);
}

function code(answer) {
  try {
    return answer.json('code');
  } catch (_) {
    return undefined;
  }
}

function withBody(body, headers) {
  return Object.assign(body ? { 'Content-Type': 'application/json' } : {}, headers);
}

const QUOTA = '429: all of this load comes from one address; start the shop with FOREBAY_QUOTA_LOGIN, _REFRESH, _CARTS and _ORDERS=off';

// Sends a request until it succeeds or patience ends: `{ ok, status, body }` is what came last.
function ask(name, repeat, method, path, body, headers) {
  const params = { tags: { name }, timeout: '6s', headers: withBody(body, headers) };
  const began = Date.now();
  let lost = false;
  for (let tries = 1; ; tries += 1) {
    const answer = http.request(method, SHOP + path, body ? JSON.stringify(body) : null, params);
    const { status } = answer;
    const ok = status >= 200 && status < 300;
    const problem = ok ? undefined : code(answer);
    if (status === 429) exec.test.abort(QUOTA);
    const isRefusal = status === 503 && REFUSALS.includes(problem);
    const isRunning = status === 409 && problem === 'idempotency-in-flight';
    const isUnclear = !isRefusal && (status === 0 || (status >= 502 && status <= 504));
    refused.add(isRefusal);
    failed.add(!ok && !isRefusal && !isRunning);
    lost = lost || isUnclear || isRunning;
    const again = isRefusal || (isUnclear && repeat !== UNEXECUTED) || (isRunning && repeat === KEYED);
    const last = { ok, status, body: ok ? answer.json() : undefined };
    if (!again) return last;
    const asks = lost && repeat === KEYED;
    const wait = pause(answer, tries);
    const over = (Date.now() - began) / 1000 + wait > (asks ? ORDER_PATIENCE_S : PATIENCE_S);
    if (over || (tries >= TRIES && !asks)) return last;
    sleep(wait);
  }
}

const draw = (from) => from[Math.floor(Math.random() * from.length)];
const email = (user) => `user${String(user).padStart(5, '0')}@example.test`;

const credentials = (user) => ({ email: email(user), password: PASSWORD });
const login = (user) => ask('login', IDEMPOTENT, 'POST', '/v1/auth/login', credentials(user));

// Before the load: users log in here, one after the other, since a password hash is dear on purpose. Not counted.
export function setup() {
  const sessions = [];
  for (let user = 1; user <= SESSIONS; user += 1) {
    const answer = http.post(`${SHOP}/v1/auth/login`, JSON.stringify(credentials(user)), { tags: { name: 'setup' }, headers: withBody(true) });
    if (answer.status === 429) exec.test.abort(QUOTA);
    if (answer.status !== 200) {
      exec.test.abort(`${email(user)} cannot log in at ${SHOP} (${answer.status || answer.error}): it takes a shop that runs, with the users of the seed`);
    }
    sessions.push(answer.json());
  }
  return sessions;
}

// Of this virtual user. The first ones have a session of their own, which they renew; the others share those.
let session;

function signIn(sessions) {
  const own = exec.vu.idInTest - 1;
  session = session || Object.assign({ own: own < sessions.length }, sessions[own % sessions.length]);
  return session;
}

export function browse() {
  const list = ask('list', IDEMPOTENT, 'GET', `/v1/products?limit=20&sort=${draw(SORTS)}`);
  if (!list.ok) return null;
  const products = list.body.data;
  // What is scarce may be gone before it is ordered, and rightly so.
  const plenty = products.filter((product) => product.availability === 'in_stock');
  const product = ask('product', IDEMPOTENT, 'GET', `/v1/products/${draw(plenty.length ? plenty : products).id}`);
  return product.ok ? product.body : null;
}

export function logIn() {
  return login(1 + (exec.scenario.iterationInTest % SESSIONS)).ok;
}

export function renew(sessions) {
  const mine = signIn(sessions);
  if (!mine.own) return browse();
  const answer = ask('refresh', IDEMPOTENT, 'POST', '/v1/auth/refresh', { refresh_token: mine.refresh_token });
  if (answer.ok) Object.assign(mine, answer.body);
  return answer.ok;
}

export function purchase(sessions) {
  const product = browse();
  if (!product) return false;
  const made = ask('cart', UNEXECUTED, 'POST', '/v1/carts');
  if (!made.ok) return false;
  const cart = made.body;
  const opens = { 'X-Cart-Token': cart.cart_token };
  const quantity = draw([1, 2]);
  const put = ask('item', IDEMPOTENT, 'PUT', `/v1/carts/${cart.id}/items/${draw(product.skus).sku}`, { quantity }, opens);
  if (!put.ok) return false;
  const shown = put.body;
  const order = {
    cart_id: cart.id,
    cart_version: shown.version,
    expected_total: shown.total,
    payment_token: 'tok_ok',
    address: { name: 'A. Buyer', line1: '1 Canal Street', city: 'Forebay', postal_code: '10115', country: 'DE' },
  };
  // The same key for every attempt: however often it is sent, it is one order.
  const send = () => ask('order', KEYED, 'POST', '/v1/orders', order,
    Object.assign({ Authorization: `Bearer ${signIn(sessions).access_token}`, 'Idempotency-Key': cart.id }, opens));
  let answer = send();
  if (answer.status === 401) { // An access token is good for ten minutes.
    const tokens = login(1 + ((exec.vu.idInTest - 1) % SESSIONS));
    if (!tokens.ok) return false;
    session = Object.assign({ own: true }, tokens.body);
    answer = send();
  }
  return answer.ok;
}

// Of a hundred journeys 65 browse, 25 buy, 9 renew a session and one logs in, in an order that is mixed: as `chaos drive --mix shop`.
export function mixed(sessions) {
  const drawn = (exec.scenario.iterationInTest * 37) % 100;
  if (drawn < 65) return browse();
  if (drawn < 90) return purchase(sessions);
  return drawn < 99 ? renew(sessions) : logIn();
}

// Makes of a journey what k6 runs, and counts it.
export function counted(journey) {
  return (sessions) => {
    const served = Boolean(journey(sessions));
    journeys.add(1);
    unserved.add(!served);
  };
}
