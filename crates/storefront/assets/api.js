// The public API, as any client may use it: problems are read, and what is refused is asked for again when that is safe.

import { $, h, plural } from "./dom.js";

/** An answer that is no success (RFC 9457), or none at all. */
export class Problem extends Error {
  constructor(status, body, headers) {
    super(body.title ?? "Something went wrong");
    this.status = status;
    this.code = body.code ?? "unknown";
    this.title = body.title ?? `The shop answered ${status}`;
    this.detail = body.detail ?? null;
    this.errors = body.errors ?? [];
    this.trace = body.trace_id ?? null;
    this.retryable = body.retryable ?? false;
    this.location = headers?.get("Location") ?? null;
    this.ticket = headers?.get("Retry-Ticket") ?? null;
    this.waitMs = waitOf(headers);
  }
}

function waitOf(headers) {
  const exact = Number.parseInt(headers?.get("Retry-After-Ms") ?? "", 10);
  if (Number.isFinite(exact)) return exact;
  const seconds = Number.parseInt(headers?.get("Retry-After") ?? "", 10);
  return Number.isFinite(seconds) ? seconds * 1000 : null;
}

/** The longest wait after which the page asks again by itself. After a longer one its reader decides. */
const PATIENCE_MS = 15_000;

/** What the shop says when it has executed nothing: any request may be sent again. */
const NOTHING_EXECUTED = new Set(["overloaded", "dependency-unavailable", "draining"]);

/** What may have been executed, or not: only what may happen twice is sent again. */
const UNKNOWN = new Set(["read-only", "deadline-exceeded", "instance-lost", "unreachable", "idempotency-in-flight"]);

function waitBeforeAgain(request, problem) {
  const idempotent = request.key !== undefined || ["GET", "PUT", "DELETE"].includes(request.method);
  const safe = NOTHING_EXECUTED.has(problem.code) || (UNKNOWN.has(problem.code) && idempotent);
  const wait = problem.waitMs ?? 1000;
  return safe && wait <= PATIENCE_MS ? wait : null;
}

/**
 * Sends a request: `{method, path, body, key, token, cart, etag, signal}`. Gives `{data, headers}`, or throws a `Problem`.
 * A refusal is told to the reader and, once, asked for again when its time has come.
 */
export async function send(request) {
  try {
    return await attempt(request);
  } catch (problem) {
    const wait = problem instanceof Problem ? waitBeforeAgain(request, problem) : null;
    if (wait === null) throw problem;
    await showWait(problem, wait, request.signal);
    return await attempt({ ...request, ticket: problem.ticket });
  }
}

async function attempt({ method = "GET", path, body, key, token, cart, etag, ticket, signal }) {
  const headers = new Headers({ Accept: "application/json" });
  if (body !== undefined) headers.set("Content-Type", "application/json");
  if (key) headers.set("Idempotency-Key", key);
  if (token) headers.set("Authorization", `Bearer ${token}`);
  if (cart) headers.set("X-Cart-Token", cart);
  if (etag) headers.set("If-Match", etag);
  if (ticket) headers.set("Retry-Ticket", ticket);
  let response;
  try {
    response = await fetch(path, { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    const detail = "No answer came: the network may be down, or the shop is. Nothing on this page was lost.";
    throw new Problem(0, { code: "unreachable", title: "The shop cannot be reached", detail, retryable: true });
  }
  const data = await json(response);
  if (!response.ok) throw new Problem(response.status, data ?? {}, response.headers);
  return { data, headers: response.headers };
}

async function json(response) {
  const type = response.headers.get("Content-Type") ?? "";
  if (!type.includes("json")) return null;
  try {
    return await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    return null;
  }
}

/** Counts down to the next try. Read out once: the seconds themselves are for the eye. */
async function showWait(problem, wait, signal) {
  const seconds = h("span", { "aria-hidden": "true" });
  const kind = problem.code === "overloaded" ? "The shop is busy." : `${problem.title}.`;
  // What lies behind an open dialog cannot be seen, nor is it read out.
  ($("login").open ? $("login") : document.body).append($("busy"));
  $("busy").replaceChildren(h("p", {}, `${kind} Nothing was lost; trying again by itself`, seconds, "."));
  const end = performance.now() + wait;
  try {
    for (let left = wait; left > 0; left = end - performance.now()) {
      seconds.textContent = ` in ${plural(Math.ceil(left / 1000), "second", "seconds")}`;
      await sleep(Math.min(left, 250), signal);
    }
  } finally {
    $("busy").replaceChildren();
  }
}

export function sleep(ms, signal) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const timer = setTimeout(done, ms);
    function done() {
      signal?.removeEventListener("abort", stop);
      resolve();
    }
    function stop() {
      clearTimeout(timer);
      reject(signal.reason);
    }
    signal?.addEventListener("abort", stop, { once: true });
  });
}

/** What went wrong, in the shop's own words; with a button to try again where that makes sense. */
export function problemBox(problem, again) {
  if (!(problem instanceof Problem)) {
    // Not the shop's, but a fault of this page: it is not hidden from whoever looks for it.
    console.error(problem);
    problem = new Problem(0, { title: "This page has a fault", detail: String(problem.message ?? problem) });
  }
  const place = (error) => error.pointer || error.parameter;
  return h(
    "div",
    { class: "problem", role: "alert" },
    h("h2", {}, problem.title),
    problem.detail && h("p", {}, problem.detail),
    problem.errors.length > 0 &&
      h("ul", {}, problem.errors.map((error) => h("li", {}, place(error) ? `${place(error)}: ` : "", error.detail))),
    problem.waitMs !== null && h("p", {}, `Try again in ${plural(Math.ceil(problem.waitMs / 1000), "second", "seconds")}.`),
    again && h("button", { type: "button", on: { click: again } }, "Try again"),
    problem.trace && h("p", { class: "trace" }, `${problem.code} · ${problem.trace}`),
  );
}
