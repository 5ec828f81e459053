// The page of the admin listener. It knows GET /pool/live and POST /pool, and nothing else.

import { chart } from "./chart.js";
import { $, clock, count, h, plural, rows, time, words, write } from "./dom.js";
import { findings, sentence } from "./findings.js";
import { authorized, follow, problemOf, token } from "./stream.js";

const SAMPLES = 900;
const MOVES = 64;

/** What is known: the samples by name, the pool of the last second, what happened by number, and the refusals at the start. */
const known = { samples: null, pool: null, at: 0, number: 0, moves: new Map(), shedBefore: null };
let paused = false;
let stopped = 0;
let broken = "";
let spoken = "";
let tallest = 0;
addEventListener("resize", () => {
  tallest = 0;
  $("holders-block").style.minHeight = "";
});

const whole = (value) => count(Math.round(value * 10) / 10);
const CHARTS = [
  { title: "Connections", unit: whole, least: 4, lines: [{ key: "in_use", label: "In use", as: "a" }, { key: "limit", label: "Limit", as: "c", stepped: true }, { key: "idle", label: "Idle", as: "b" }] },
  { title: "Callers that wait", unit: whole, least: 4, lines: [{ key: "waiting", label: "Waiting", as: "a" }] },
  { title: "Wait of those who got a connection", unit: time, least: 1, lines: [{ key: "wait_p50_ms", label: "Half waited no longer than", as: "a" }, { key: "wait_p95_ms", label: "95 % no longer than", as: "b" }] },
  { title: "Requests a second", unit: whole, least: 4, lines: [{ key: "granted", label: "Got a connection", as: "a" }, { key: "shed", label: "Refused", as: "b" }] },
].map(chart);
$("charts").append(...CHARTS.map(({ figure }) => figure));

// --- what comes

function learn(name, data) {
  // Another process counts from the beginning.
  if (data.number < known.number) known.shedBefore = {};
  known.number = data.number;
  if (name === "history") {
    known.samples = data.samples;
    known.moves.clear();
    known.shedBefore ??= data.pool.shed_by_reason;
  } else {
    for (const [key, values] of Object.entries(known.samples)) {
      values.push(data.sample[key]);
      if (values.length > SAMPLES) values.shift();
    }
  }
  known.pool = data.pool;
  known.at = data.samples?.at.at(-1) ?? data.sample?.at ?? Date.now();
  for (const move of data.pool.history) known.moves.set(move.number, { ...move, at: known.at - move.ago_ms });
  for (const number of known.moves.keys()) {
    if (known.moves.size <= MOVES) break;
    known.moves.delete(number);
  }
}

function show() {
  if (paused || document.hidden || !known.pool) return;
  const { pool, samples } = known;
  $("shown").hidden = false;
  $("token-form").hidden = true;
  $("pause").hidden = false;
  showFindings(findings(pool, samples));
  showTiles(pool, samples);
  showHolders(pool);
  for (const { draw } of CHARTS) draw(samples);
  showMoves();
  showShed(pool);
  showSites(pool);
  showStatements(pool);
  write($("max-hint"), `now ${pool.ceiling}`);
  write($("min-hint"), `now ${pool.min_idle}`);
  write($("limit-hint"), pool.pinned ? `now ${pool.limit}, by hand; 0 gives the choice back to the pool` : `now ${pool.limit}, chosen by the pool`);
  document.title = `${findings(pool, samples)[0].bad ? "! " : ""}${pool.in_use} of ${pool.limit} · The pool`;
}

// --- what is shown

function showFindings(found) {
  rows($("findings"), found, () => h("li", { class: "finding" }, h("strong"), h("p"), h("span", { class: "code" })), (item, { bad, title, text, code }) => {
    item.classList.toggle("bad", bad);
    const [strong, p, sql] = item.children;
    write(strong, title);
    write(p, text);
    write(sql, code ?? "");
    sql.hidden = !code;
  });
  // Times move each second: a screen reader is told when it is another matter.
  const keys = found.map(({ key }) => key).join("\n");
  if (keys !== spoken) {
    spoken = keys;
    write($("spoken"), found.map(({ title, said }) => said ?? title).join(". "));
  }
}

function showTiles(pool, samples) {
  const minute = (key) => samples[key].slice(-60).reduce((sum, value) => sum + (value ?? 0), 0);
  const tiles = [
    ["In use", pool.in_use, pool.suspects > 0 ? `and ${pool.suspects} held for nothing` : "leases out and used"],
    ["Limit", pool.limit, `${pool.pinned ? "by hand" : "by the pool"}; ceiling ${pool.ceiling}`],
    ["Idle", pool.idle, pool.opening > 0 ? `${pool.opening} being opened` : "open and free"],
    ["Waiting", pool.waiting, pool.waiting > 0 ? `the first for ${time(pool.oldest_wait_ms)}` : "nobody"],
    ["Refused", minute("shed"), `in the last minute, of ${count(minute("shed") + minute("granted"))}`],
    ["Wait, median", time(samples.wait_p50_ms.at(-1)), "in the last second"],
    ["Wait, 95 %", time(samples.wait_p95_ms.at(-1)), "in the last second"],
  ];
  rows($("tiles"), tiles, () => h("div", {}, h("dt"), h("dd", {}, h("span"), h("small"))), (tile, [name, value, more]) => {
    write(tile.children[0], name);
    write(tile.children[1].children[0], typeof value === "number" ? count(value) : value);
    write(tile.children[1].children[1], more);
  });
}

/** A row whose first cell is its head; `columns` are names for small screens, `sql` and `number` are classes. */
function row(columns) {
  return () => h("tr", {}, ...columns.map(([label, kind], index) => (index === 0 ? h("th", { scope: "row" }) : h("td", { class: kind, "data-label": label }))));
}

function cells(element, texts) {
  texts.forEach((text, index) => write(element.children[index], text));
}

const HOLDER = row([["Taken at"], ["Runs", "sql"], ["Since", "number"], ["Held for", "number long"], ["Runs nothing for", "number long"], ["Class", ""]]);

function showHolders(pool) {
  rows($("holders").tBodies[0], pool.longest_holders, HOLDER, (tr, holder) => {
    tr.classList.toggle("bad", holder.held_idle_ms >= 1000 || holder.held_ms >= 5000);
    cells(tr, [holder.site, holder.runs ?? "no statement yet", clock(known.at - holder.held_ms), time(holder.held_ms), time(holder.held_idle_ms), holder.class]);
  });
  $("holders").hidden = pool.longest_holders.length === 0;
  $("holders-none").hidden = !$("holders").hidden;
  // Holders come and go: what is below stays where it is.
  const height = $("holders-block").offsetHeight;
  if (height > tallest) $("holders-block").style.minHeight = `${(tallest = height)}px`;
}

function showMoves() {
  const moves = [...known.moves.values()].reverse();
  rows($("moves"), moves, () => h("li", {}, h("time"), h("span")), (item, move) => {
    write(item.children[0], clock(move.at));
    write(item.children[1], sentence(move));
  });
  $("moves-none").hidden = moves.length > 0;
}

const SHED = row([["Class"], ["Why", ""], ["Since this page opened", "number"], ["Since the start", "number"]]);

function showShed(pool) {
  const all = Object.entries(pool.shed_by_reason).flatMap(([of, reasons]) => Object.entries(reasons).map(([why, shed]) => [of, words(why), count(Math.max(0, shed - (known.shedBefore[of]?.[why] ?? 0))), count(shed)]));
  rows($("shed").tBodies[0], all, SHED, cells);
  $("shed").hidden = all.length === 0;
  $("shed-none").hidden = all.length > 0;
}

const SITE = row([["Taken at"], ["Leases", "number"], ["Held, mean", "number"], ["Held, longest", "number"], ["Of it ran nothing", "number"], ["Taken back", "number"]]);

function showSites(pool) {
  rows($("sites").tBodies[0], pool.call_sites, SITE, (tr, site) => {
    tr.classList.toggle("bad", site.taken_back > 0);
    const idle = site.held_ms > 0 ? `${Math.round((100 * site.idle_ms) / site.held_ms)} %` : "–";
    cells(tr, [site.site, count(site.leases), time(site.held_ms / Math.max(1, site.leases)), time(site.longest_ms), idle, count(site.taken_back)]);
  });
}

const STATEMENT = row([["Does", "sql"], ["Of all time", "number"], ["Calls", "number"], ["Mean", "number"], ["95 % within", "number"], ["Longest", "number"], ["Failed", "number"]]);
const STATEMENTS = 5;

function showStatements(pool) {
  const all = pool.statements.reduce((sum, { took_ms }) => sum + took_ms, 0);
  rows($("statements").tBodies[0], pool.statements.slice(0, STATEMENTS), STATEMENT, (tr, { summary, calls, failed, took_ms, p95_ms, longest_ms }) => {
    const failures = Object.values(failed).reduce((sum, times) => sum + times, 0);
    const share = all > 0 ? `${Math.round((100 * took_ms) / all)} %` : "–";
    cells(tr, [summary, share, count(calls), time(took_ms / Math.max(1, calls)), time(p95_ms), time(longest_ms), count(failures)]);
  });
}

function line(state, text) {
  $("line").className = `line ${state}`;
  write($("line-text"), text);
  $("shown").classList.toggle("stale", state === "lost");
}

function showLine() {
  if (broken) line("lost", broken);
  else if (paused) line("", `Stopped at ${clock(stopped)}`);
  else line("live", "Live");
}

// --- what is pressed

function pause(now) {
  paused = now;
  stopped = known.at;
  $("pause").setAttribute("aria-pressed", String(paused));
}

$("pause").addEventListener("click", () => {
  pause(!paused);
  showLine();
  show();
});
document.addEventListener("visibilitychange", show);

function askToken(had) {
  pause(false);
  line("lost", "A token is asked for");
  write($("token-fault"), had ? "That token is not one of this listener's." : "");
  $("shown").hidden = true;
  $("token-form").hidden = false;
  $("token").focus();
  return new Promise((resolve) => {
    $("token-form").onsubmit = (event) => {
      event.preventDefault();
      const value = $("token").value.trim();
      if (!value) return;
      token.set(value);
      $("token").value = "";
      line("", "Connecting");
      resolve();
    };
  });
}

const NAMES = { max: "Connections at most", min: "Kept open without traffic", limit: "Leases at once" };

/** What the form asks for, and each of it as words. */
function asked() {
  const order = {};
  for (const name of Object.keys(NAMES)) if ($(name).value !== "") order[name] = Number($(name).value);
  if ($("flush").checked) order.flush_idle = true;
  const now = { max: known.pool.ceiling, min: known.pool.min_idle, limit: known.pool.limit };
  const told = Object.keys(NAMES).filter((name) => name in order);
  const lines = told.map((name) => (name === "limit" && order.limit === 0 ? "The pool chooses again how many leases may be out at once" : `${NAMES[name]}: ${now[name]} becomes ${order[name]}`));
  if (order.flush_idle) lines.push(`${plural(known.pool.idle, "idle connection is", "idle connections are")} closed`);
  return { order, lines };
}

function fault(name, text) {
  write($(`${name}-fault`), text);
  if (text) $(name).setAttribute("aria-invalid", "true");
  else $(name).removeAttribute("aria-invalid");
}

$("change").addEventListener("submit", (event) => {
  event.preventDefault();
  Object.keys(NAMES).forEach((name) => fault(name, $(name).validity.badInput || Number($(name).value) < 0 ? "must be a whole number" : ""));
  const wrong = Object.keys(NAMES).find((name) => $(name).hasAttribute("aria-invalid"));
  if (wrong) return $(wrong).focus();
  const { lines } = asked();
  if (lines.length === 0) return write($("change-said"), "Nothing is filled in: the pool stays as it is.");
  write($("change-said"), "");
  write($("sure-fault"), "");
  $("sure-what").replaceChildren(...lines.map((text) => h("li", {}, text)));
  $("sure").showModal();
  return $("sure-no").focus();
});

$("sure-no").addEventListener("click", () => $("sure").close());

$("sure-yes").addEventListener("click", async () => {
  const { order, lines } = asked();
  $("sure-yes").disabled = true;
  try {
    const response = await fetch("/pool", { method: "POST", headers: authorized({ "Content-Type": "application/json" }), body: JSON.stringify(order), signal: AbortSignal.timeout(10_000) });
    if (!response.ok) {
      refused(await problemOf(response));
      return;
    }
    $("sure").close();
    $("change").reset();
    write($("change-said"), `Done. ${lines.join(". ")}.`);
  } catch (error) {
    write($("sure-fault"), `It is not known whether it was done: ${error.message}`);
  } finally {
    $("sure-yes").disabled = false;
  }
});

/** Each fault stands at its field; what belongs to none is said in the dialog, which stays. */
function refused({ text, errors }) {
  const fields = errors.map(({ pointer, detail }) => [pointer.slice(1), detail]).filter(([name]) => name in NAMES);
  if (fields.length === 0) return write($("sure-fault"), text);
  $("sure").close();
  fields.forEach(([name, detail]) => fault(name, detail));
  write($("change-said"), "Nothing was changed.");
  return $(fields[0][0]).focus();
}

follow({
  event(name, data) {
    learn(name, data);
    broken = "";
    showLine();
    show();
  },
  lost(why) {
    broken = `Not live${known.at ? ` since ${clock(known.at)}` : ""}: ${why}`;
    showLine();
  },
  refused: askToken,
});
