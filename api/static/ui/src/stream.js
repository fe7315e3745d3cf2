/** Server-sent events, read from a fetch: EventSource can neither post nor add a header. */

import { Problem, respond } from "./api.js";

/** Yields `[name, data, id]` for each event of a POST. Throws Problem, also for the event `error`. */
export async function* events(path, body, stop) {
  yield* read(await respond("POST", path, { body, signal: stop }));
}

/** The same of a GET that goes on behind the event `last`. `heard` is called whenever anything comes. */
export async function* following(path, last, stop, heard) {
  const headers = last ? { "Last-Event-ID": last } : {};
  yield* read(await respond("GET", path, { headers, signal: stop }), heard);
}

async function* read(answer, heard = () => {}) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    heard();
    const frames = (rest + value).split("\n\n");
    rest = frames.pop();
    for (const frame of frames) {
      const found = parsed(frame);
      if (found?.[0] === "error") throw new Problem(found[1]);
      if (found) yield found;
    }
  }
}

function parsed(frame) {
  const field = (name) =>
    frame
      .split("\n")
      .filter((line) => line.startsWith(`${name}: `))
      .map((line) => line.slice(name.length + 2))
      .join("\n");
  const data = field("data");
  return data ? [field("event"), JSON.parse(data), field("id")] : null;
}
