/** Requests to `/v1`. The session's cookie goes along; a header says that the page asks. */

import { signal } from "../vendor/preact.js";

/** Who asks, as `GET /v1/session` says; null: the session is over; undefined: not known yet. */
export const me = signal(undefined);

/** Since when the server cannot be reached; null while it can. */
export const offlineSince = signal(null);

/** An error as the server words it (RFC 9457), or `offline`. `retryAfter` in seconds, where a retry helps. */
export class Problem extends Error {
  constructor(told) {
    super(told.detail || told.title || "");
    this.code = told.code || "unknown";
    this.status = told.status || 0;
    this.requestId = told.request_id || "";
    this.retryAfter = told.retry_after || 0;
  }
}

/** The answer to a request. Throws Problem. */
export async function respond(method, path, { body, signal: stop, headers = {} } = {}) {
  const sent = { method, signal: stop, credentials: "same-origin", headers: { "X-Footnote": "ui", ...headers } };
  if (body !== undefined) {
    sent.headers["Content-Type"] = "application/json";
    sent.body = JSON.stringify(body);
  }
  let answer;
  try {
    answer = await fetch(path, sent);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    offlineSince.value ||= new Date();
    throw new Problem({ code: "offline", retry_after: 2 });
  }
  offlineSince.value = null;
  if (!answer.ok) throw await refusal(answer, path);
  return answer;
}

async function refusal(answer, path) {
  const told = await answer.json().catch(() => ({ title: answer.statusText, status: answer.status }));
  if (answer.status === 401 && path !== "/v1/session") me.value = null;
  return new Problem(told);
}

/** The JSON that a request is answered with. */
export const call = async (method, path, given) => (await respond(method, path, given)).json();
export const get = (path) => call("GET", path);
export const post = (path, body) => call("POST", path, { body });

/** Finds out who asks. A browser without a session is no error. */
export async function recognise() {
  try {
    me.value = await get("/v1/session");
  } catch (error) {
    if (error.status !== 401) throw error;
    me.value = null;
  }
}

export async function enter(proof) {
  me.value = await post("/v1/session", proof);
}

export async function leave() {
  await call("DELETE", "/v1/session");
  me.value = null;
}

export const may = (scope) => Boolean(me.value?.scopes.some((each) => each === scope || each === "admin"));
