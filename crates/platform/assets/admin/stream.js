// Server-sent events over fetch: an EventSource sends no header, and a token has no place in an address.

const KEY = "forebay-admin-token";
/** Nothing came for so long, though an event is sent each second: the way is broken. */
const SILENCE_MS = 6000;

export const token = {
  get: () => sessionStorage.getItem(KEY),
  set: (value) => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
};

export function authorized(headers = {}) {
  const shown = token.get();
  return shown ? { ...headers, Authorization: `Bearer ${shown}` } : headers;
}

/** What an answer says went wrong. */
export async function problemOf(response) {
  const body = await response.json().catch(() => ({}));
  return { status: response.status, text: body.detail ?? body.title ?? `the answer was ${response.status}`, errors: body.errors ?? [] };
}

/** Follows the pool for ever. `on` has `event(name, data)`, `lost(why)`, and `refused(had)`, which promises another token. */
export async function follow(on) {
  for (let pause = 500; ; pause = Math.min(pause * 2, 8000)) {
    await shown();
    const end = new AbortController();
    let silence = setTimeout(() => end.abort(), SILENCE_MS);
    document.addEventListener("visibilitychange", () => end.abort(), { once: true, signal: end.signal });
    try {
      const response = await fetch("/pool/live", { headers: authorized({ Accept: "text/event-stream" }), cache: "no-store", signal: end.signal });
      if (response.status === 401) {
        clearTimeout(silence);
        const had = token.get() !== null;
        token.forget();
        await on.refused(had);
        pause = 250;
        continue;
      }
      if (!response.ok) throw new Error((await problemOf(response)).text);
      for await (const [name, data] of events(response.body)) {
        clearTimeout(silence);
        silence = setTimeout(() => end.abort(), SILENCE_MS);
        pause = 250;
        on.event(name, data);
      }
      throw new Error("the process ended the stream");
    } catch (error) {
      if (!document.hidden) on.lost(end.signal.aborted ? "nothing came for some seconds" : error.message);
    }
    clearTimeout(silence);
    end.abort();
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/** A browser has few connections to one host: a page that nobody sees gives its own to those that are seen. */
async function shown() {
  while (document.hidden) await new Promise((seen) => document.addEventListener("visibilitychange", seen, { once: true }));
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const lines = text.slice(0, end).split("\n");
      text = text.slice(end + 2);
      const field = (name) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      if (field("data")) yield [field("event"), JSON.parse(field("data"))];
    }
  }
}
