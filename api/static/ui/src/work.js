/** The work of the queue: its summary for every screen, and the jobs that the screen of the queue shows. */

import { signal } from "../vendor/preact.js";
import { call, get, may, post } from "./api.js";
import { follow } from "./uploads.js";

const LOOK_MS = 2000;
const REST_MS = 20000;
const SHOWN = 100;

/** `GET /v1/summary`; null before it came. */
export const summary = signal(null);
/** The jobs on the screen, and what could not be loaded. */
export const listed = signal(null);
export const problem = signal(null);

let wanted = null;
let timer = null;

/** What an address of the queue names: `{step, error}`. Null: the screen is closed, and only the summary is looked at. */
export function watch(filter) {
  wanted = filter;
  return look();
}

export async function look() {
  clearTimeout(timer);
  if (!may("read")) return;
  const filter = wanted;
  let pause = filter ? LOOK_MS : REST_MS;
  try {
    summary.value = await get("/v1/summary");
    if (filter) {
      const found = await get(`/v1/jobs?${queryOf(filter)}`);
      if (wanted === filter) listed.value = found.data;
    }
    problem.value = null;
  } catch (failed) {
    problem.value = failed;
    pause = 1000 * (failed.retryAfter || 5);
  }
  clearTimeout(timer);
  timer = setTimeout(look, document.hidden ? 4 * pause : pause);
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
  await Promise.all([look(), follow()]);
  return retried;
}

export const act = async (job, what) => {
  await call("POST", `/v1/jobs/${job.id}/${what}`);
  await Promise.all([look(), follow()]);
};

addEventListener("visibilitychange", () => !document.hidden && summary.value && look());
