// Who is logged in.
//
// The access token (ten minutes) is in memory alone. The refresh token is in this tab's sessionStorage, so that a reload
// does not log out; it is gone with the tab. The price: a script of this origin could read it, which is why the page's
// policy lets no foreign script in. A cookie that no script can read would need an endpoint of its own; the API gives
// tokens in the body.

import { Problem, problemBox, send } from "./api.js";
import { $, showFaults } from "./dom.js";

const KEPT = "forebay.refresh";
/** A token that ends sooner is renewed before it is used, in milliseconds. */
const MARGIN_MS = 15_000;

let access = null;
let accessEnds = 0;
let renewing = null;
const changed = new EventTarget();

export const onChange = (listener) => changed.addEventListener("change", listener);
export const isOpen = () => access !== null || sessionStorage.getItem(KEPT) !== null;

function keep(tokens) {
  const was = isOpen();
  access = tokens.access_token;
  accessEnds = performance.now() + tokens.expires_in * 1000;
  sessionStorage.setItem(KEPT, tokens.refresh_token);
  if (!was) changed.dispatchEvent(new Event("change"));
}

function forget() {
  access = null;
  sessionStorage.removeItem(KEPT);
  changed.dispatchEvent(new Event("change"));
}

async function renew() {
  // One at a time: a refresh token works once.
  renewing ??= (async () => {
    try {
      const body = { refresh_token: sessionStorage.getItem(KEPT) };
      keep((await send({ method: "POST", path: "/v1/auth/refresh", body })).data);
    } catch (problem) {
      if (problem.status === 401) forget();
      throw problem;
    } finally {
      renewing = null;
    }
  })();
  await renewing;
}

async function token() {
  if (access === null || performance.now() > accessEnds - MARGIN_MS) await renew();
  return access;
}

/** Sends a request as whoever is logged in. A token that is no good any more is renewed once. */
export async function sendAs(request) {
  try {
    return await send({ ...request, token: await token() });
  } catch (problem) {
    if (problem.status !== 401 || !isOpen()) throw problem;
    access = null;
    return await send({ ...request, token: await token() });
  }
}

export async function logOut() {
  try {
    if (isOpen()) await sendAs({ method: "POST", path: "/v1/auth/logout" });
  } catch (problem) {
    // The session ends here in any case; a token that is refused has ended before.
    if (problem.status !== 401) throw problem;
  } finally {
    if (isOpen()) forget();
  }
}

/** Asks for e-mail address and password. True once somebody is logged in, false where the dialog was closed. */
export function logIn(why) {
  const [dialog, form] = [$("login"), $("login-form")];
  if (dialog.open) return Promise.resolve(false);
  $("login-why").hidden = !why;
  $("login-why").textContent = why ?? "";
  $("login-problem").replaceChildren();
  registering(false);
  return new Promise((resolve) => {
    const stop = new AbortController();
    form.addEventListener(
      "submit",
      async (event) => {
        event.preventDefault();
        if (await submit(form)) dialog.close();
      },
      { signal: stop.signal },
    );
    $("login-other").addEventListener("click", () => registering(!isRegistering()), { signal: stop.signal });
    dialog.addEventListener(
      "close",
      () => {
        stop.abort();
        form.reset();
        resolve(isOpen());
      },
      { signal: stop.signal },
    );
    dialog.showModal();
    $("login-email").focus();
  });
}

/** Somebody is logged in, or does so now. */
export async function required(why) {
  return isOpen() || logIn(why);
}

const isRegistering = () => !$("login-name-field").hidden;

function registering(yes) {
  $("login-name-field").hidden = !yes;
  $("login-title").textContent = yes ? "Create an account" : "Log in";
  $("login-submit").textContent = yes ? "Create the account" : "Log in";
  $("login-other-text").textContent = yes ? "You have one?" : "New here?";
  $("login-other").textContent = yes ? "Log in" : "Create an account";
  $("login-password").autocomplete = yes ? "new-password" : "current-password";
  $("login-problem").replaceChildren();
  if (yes) $("login-name").focus();
}

async function submit(form) {
  const fields = Object.fromEntries(new FormData(form));
  const { name, email, password } = fields;
  const button = $("login-submit");
  $("login-problem").replaceChildren();
  button.disabled = true;
  try {
    const path = isRegistering() ? "/v1/auth/register" : "/v1/auth/login";
    const body = isRegistering() ? { name, email, password } : { email, password };
    keep((await send({ method: "POST", path, body })).data);
    return true;
  } catch (problem) {
    const rest = problem instanceof Problem ? showFaults(form, problem.errors, (error) => error.pointer?.slice(1)) : [];
    if (problem instanceof Problem) problem.errors = rest;
    $("login-problem").replaceChildren(problemBox(problem));
    return false;
  } finally {
    button.disabled = false;
  }
}
