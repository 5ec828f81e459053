// What is the matter, in words: who looks for the first time must not have to read a table for it.

import { clock, count, plural, time, words } from "./dom.js";

/** A lease that runs nothing for so long has lost its place to others. */
const IDLE_MS = 1000;
/** One statement that runs for so long is worth a look. */
const LONG_MS = 5000;
/** What was taken back is told for so long. */
const TOLD_MS = 5 * 60 * 1000;

/** What there is to say, the worst first; each with a `key` that stays while it is the same matter. */
export function findings(pool, samples) {
  const now = samples.at.at(-1) ?? Date.now();
  const recent = samples.shed.slice(-10).reduce((sum, shed) => sum + shed, 0);
  const found = [...leaks(pool, now), ...long(pool, now)];
  if (pool.breaker !== "closed") {
    found.unshift({ key: "breaker", bad: true, title: "No connection can be opened", text: "Callers are refused at once until the database answers again." });
  }
  if (recent > 0) {
    found.push({ key: "shed", bad: true, title: `${plural(recent, "request was", "requests were")} refused in the last 10 seconds`, text: `${pool.in_use} of ${pool.limit} places are taken and ${pool.waiting} wait. Who is refused is told when to come back; nothing of it was executed.` });
  } else if (pool.waiting > 0 && pool.in_use >= pool.limit) {
    found.push({ key: "full", bad: true, title: `All ${pool.limit} places are taken`, text: `${plural(pool.waiting, "caller waits", "callers wait")}, the first for ${time(pool.oldest_wait_ms)}.` });
  }
  if (found.length === 0) {
    found.push({ key: "well", bad: false, title: "All is well", text: `${pool.in_use} of ${pool.limit} places are taken, nobody is refused, and no connection is held for nothing.` });
  }
  return found;
}

function leaks(pool, at) {
  const sites = new Map();
  const of = (site) => sites.get(site) ?? sites.set(site, { site, held: [], taken: null }).get(site);
  for (const holder of pool.longest_holders) if (holder.held_idle_ms >= IDLE_MS) of(holder.site).held.push(holder);
  for (const site of pool.call_sites) if (site.last_taken_back && site.last_taken_back.ago_ms < TOLD_MS) of(site.site).taken = site;
  return [...sites.values()].map(({ site, held, taken }) => {
    const last = held[0] ?? taken.last_taken_back;
    const now = held.length > 0 && `It holds ${plural(held.length, "connection", "connections")} now, the oldest since ${clock(at - held[0].held_ms)}, and has run nothing for ${time(held[0].held_idle_ms)}.`;
    const back = taken && `The pool took ${plural(taken.taken_back, "connection", "connections")} back from it, the last at ${clock(at - taken.last_taken_back.ago_ms)}, after ${time(taken.last_taken_back.held_ms)}.`;
    return { key: `leak ${site}`, bad: true, title: `Held and not used: ${site}`, text: [now, back, last.runs ? "The last statement was:" : "It has run no statement."].filter(Boolean).join(" "), code: last.runs };
  });
}

function long(pool, at) {
  const running = pool.longest_holders.filter((holder) => holder.held_idle_ms < IDLE_MS && holder.held_ms >= LONG_MS);
  return running.slice(0, 3).map((holder) => ({
    key: `long ${holder.site}`, bad: true, title: `In use for ${time(holder.held_ms)}: ${holder.site}`, text: `It has the connection since ${clock(at - holder.held_ms)}. ${holder.runs ? "It runs:" : "What it does is not seen."}`, code: holder.runs, said: `In use for long: ${holder.site}`,
  }));
}

const REASONS = {
  demand: "the traffic needs more",
  standing_queue: "callers kept waiting",
  refusals: "requests were refused",
  calm: "less was needed for a while",
  floor: "so much is needed to go on measuring",
  fixed: "it is set to be fixed",
  manual: "somebody set it",
  room: "there is room for no more below the ceiling",
  knee_climb: "more leases still brought more work done",
  knee_try_more: "a little more was tried out",
  knee_try_less: "a little less was tried out",
  knee_hold: "the database does no more with more leases",
  knee_retreat: "too many statements were cut off",
};

const EVENTS = {
  suspected: "A lease ran nothing, so that its place was given to others",
  cleared: "That lease was used again, or came back",
  breaker_opened: "No connection could be opened: callers are refused at once",
  breaker_closed: "A connection could be opened again",
  ceiling_learned: "The server said that it has no room for more connections",
  flushed: "The server has changed: all connections are replaced",
};

/** One thing that happened, as a sentence. */
export function sentence({ event, from, to, reason, times, site, runs }) {
  if (event === "limit_changed") {
    if (times > 1) return `A little more and a little less was tried out, ${count(times)} times: the limit went from ${from} to ${to} (${reason})`;
    return `The limit went from ${from} to ${to}: ${REASONS[reason] ?? words(reason)} (${reason})`;
  }
  const of = event === "ceiling_learned" && to ? `: ${to} exist` : "";
  return `${EVENTS[event] ?? words(event)}${of}${site ? `: ${site}` : ""}${runs ? `, after ${runs}` : ""}`;
}
