/** The work of the queue, while its screen is open: the summary, and the jobs that are shown. */

import { signal } from "../vendor/preact.js";
import { call, get, post } from "./api.js";
import { listen } from "./live.js";

const REST_MS = 5000; // signs of life and the rate change without an event
const SOON_MS = 400; // after an event, for others come with it
const SHOWN = 100;

/** `GET /v1/summary`; null before it came. */
export const summary = signal(null);
/** The jobs on the screen, and what could not be loaded. */
export const listed = signal(null);
export const problem = signal(null);

let wanted = null;
let timer = null;
let hears = null;

/** What an address of the queue names: `{step, error}`. Null: the screen is closed. */
export function watch(filter) {
  wanted = filter;
  clearTimeout(timer);
  hears?.();
  hears = filter && listen(() => later(SOON_MS));
  if (filter) look();
}

let due = 0;

/** Looks after a time, or earlier if that was meant before. */
function later(ms) {
  const at = Date.now() + (document.hidden ? 4 * ms : ms);
  if (due > Date.now() && due <= at) return;
  clearTimeout(timer);
  due = at;
  timer = setTimeout(look, at - Date.now());
}

export async function look() {
  const filter = wanted;
  if (!filter) return;
  due = 0;
  let pause = REST_MS;
  try {
    const [work, jobs] = await Promise.all([get("/v1/summary"), get(`/v1/jobs?${queryOf(filter)}`)]);
    if (wanted !== filter) return;
    summary.value = work;
    listed.value = jobs.data;
    problem.value = null;
  } catch (failed) {
    problem.value = failed;
    pause = 1000 * (failed.retryAfter || 5);
  }
  if (wanted === filter) later(pause);
}

/** Unfinished jobs and those that failed, of a step or for a reason if one is chosen. */
function queryOf({ step, error }) {
  const asked = new URLSearchParams({ limit: SHOWN, superseded: "false" });
  const states = error ? ["failed"] : ["running", "waiting", "queued", ...(step ? [] : ["failed"])];
  for (const each of states) asked.append("status", each);
  if (step) asked.append("step", step);
  if (error) asked.append("error_code", error);
  return asked;
}

/** Retries all that failed at a step for a reason; how many. */
export async function retryAll({ step, code }) {
  let retried = 0;
  for (;;) {
    const told = await post("/v1/jobs/retry", { step: [step], error_code: [code], limit: 1000 });
    retried += told.retried;
    if (!told.remaining || !told.retried) break;
  }
  await look();
  return retried;
}

export async function act(job, what) {
  await call("POST", `/v1/jobs/${job.id}/${what}`);
  await look();
}

/** Switches the model of a collection, goes back, or drops the swap. */
export async function swapModel(swap, what) {
  const path = `/v1/collections/${swap.collection_id}/model`;
  await (what === "drop" ? call("DELETE", path) : call("POST", `${path}/${what}`));
  await look();
}

addEventListener("visibilitychange", () => !document.hidden && look());
