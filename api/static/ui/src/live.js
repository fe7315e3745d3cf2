/**
 * What changes on the server, as it happens (`GET /v1/events`): one stream for all tabs of a browser.
 *
 * The tab that holds the lock reads it and passes it on; when that tab goes, another gets the lock. A browser opens
 * six connections to a host: with a stream for each tab, the seventh tab would get no answer to anything.
 */

import { signal } from "../vendor/preact.js";
import { me, offlineSince, recognise } from "./api.js";
import { following } from "./stream.js";

const SILENT_MS = 40000; // a comment comes every 15 s: then the connection is dead, whatever the browser thinks
const AGAIN_MS = [500, 1000, 2000, 5000];

/** How many documents there are by status, as the event `counts` has it; null: not known yet. */
export const counts = signal(null);
/** Since when all work is paused; null while it goes on. */
export const pausedSince = signal(null);

const listeners = new Set();
let channel = null;
let leaving = null;

/**
 * Calls `hear(name, data)` for each event; the function that is returned ends that. Names and data: docs/events.md;
 * `reset` comes after every break of which it is not known what was missed.
 */
export function listen(hear) {
  listeners.add(hear);
  return () => listeners.delete(hear);
}

function tell(name, data) {
  if (name === "offline") offlineSince.value ||= new Date();
  else offlineSince.value = null;
  // Whether the session is over, each tab finds out itself.
  if (name === "broken") recognise().catch(() => {});
  if (name === "counts") counts.value = data;
  if (name === "pause") pausedSince.value = data.paused_since;
  for (const hear of listeners) hear(name, data);
}

/** Begins to follow, as the one who is logged in; ends what was followed before. */
export function begin() {
  end();
  const stop = new AbortController();
  leaving = stop;
  const name = `footnote-events ${me.value.key_id ?? me.value.tenant_id}`;
  channel = new BroadcastChannel(name);
  channel.onmessage = ({ data }) => {
    if (data === "?") pass();
    else tell(...data);
  };
  channel.postMessage("?");
  // Only over https and on loopback; elsewhere each tab reads a stream of its own.
  if (!navigator.locks) return void read(stop.signal, false);
  navigator.locks.request(name, { signal: stop.signal }, () => read(stop.signal, true)).catch(() => {});
}

export function end() {
  leaving?.abort();
  channel?.close();
  leaving = channel = null;
  counts.value = pausedSince.value = null;
}

let leads = false;

/** A tab that is new hears how things are from the one that reads. */
function pass() {
  if (!leads || !counts.value) return;
  channel.postMessage(["pause", { paused_since: pausedSince.value }]);
  channel.postMessage(["counts", counts.value]);
}

async function read(stop, passesOn) {
  leads = passesOn;
  let last = "";
  let failed = 0;
  while (!stop.aborted && me.value) {
    const broken = new AbortController();
    let timer = 0;
    const heard = () => {
      clearTimeout(timer);
      timer = setTimeout(() => broken.abort(), SILENT_MS);
    };
    try {
      heard();
      for await (const [name, data, id] of following("/v1/events", last, AbortSignal.any([stop, broken.signal]), heard)) {
        last = id || last;
        failed = 0;
        if (passesOn) channel?.postMessage([name, data]);
        tell(name, data);
      }
    } catch (problem) {
      failed += 1;
      if (passesOn && !stop.aborted) channel?.postMessage([problem.code === "offline" ? "offline" : "broken", null]);
    }
    clearTimeout(timer);
    if (stop.aborted) return;
    if (me.value) await pause(AGAIN_MS[Math.min(failed, AGAIN_MS.length - 1)]);
  }
}

/** Shorter when the browser says that it is back. */
const pause = (ms) =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    const back = () => (clearTimeout(timer), resolve());
    addEventListener("online", back, { once: true });
  });

// A stream that was cut is noticed at once; a tab that only listens learns it from its next request.
addEventListener("offline", () => (offlineSince.value ||= new Date()));
