/** Files on their way: sent three at a time, then followed until they are ready or have failed. */

import { computed, signal } from "../vendor/preact.js";
import { Problem, get, may, me } from "./api.js";

const AT_ONCE = 3;
const PAUSE_MS = 700;
const REST_MS = 15000;

/** What is sent or read: `{key, name, phase, share, document, problem}`; phase: waits, sends, reads, ready, failed. */
export const files = signal([]);
/** How many documents there are that can be asked; null: not known yet. More than the first page is not counted. */
export const documents = signal(null);

export const unfinished = computed(() => files.value.filter((each) => /waits|sends|reads/.test(each.phase)));
export const failed = computed(() => files.value.filter((each) => each.phase === "failed"));

let keys = 0;
let timer = null;

const change = (key, fields) => {
  files.value = files.value.map((each) => (each.key === key ? { ...each, ...fields } : each));
};

/** Adds files of this machine. */
export function add(chosen, collection) {
  if (!may("write")) return;
  const added = [...chosen].map((file) => ({ key: (keys += 1), name: file.name, phase: "waits", file, collection, share: 0 }));
  files.value = [...added, ...files.value];
  sendNext();
}

function sendNext() {
  const sending = files.value.filter((each) => each.phase === "sends").length;
  const next = files.value.findLast((each) => each.phase === "waits");
  if (sending >= AT_ONCE || !next) return;
  change(next.key, { phase: "sends" });
  send(next)
    .then((accepted) => change(next.key, { ...standing(accepted.document), again: accepted.deduplicated, file: null }))
    .catch((problem) => change(next.key, { phase: "failed", problem, file: null }))
    .finally(() => {
      sendNext();
      follow();
    });
  sendNext();
}

/** XMLHttpRequest, because fetch does not say how much was sent. */
function send({ key, file, collection }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", "/v1/documents");
    request.setRequestHeader("X-Footnote", "ui");
    request.setRequestHeader("Idempotency-Key", crypto.randomUUID?.() ?? `${Date.now()}-${key}-${Math.random()}`);
    request.responseType = "json";
    request.upload.onprogress = ({ loaded, total }) => change(key, { share: Math.floor((100 * loaded) / total) });
    request.onerror = () => reject(new Problem({ code: "offline" }));
    request.onload = () => {
      if (request.status < 300) return resolve(request.response);
      if (request.status === 401) me.value = null;
      reject(new Problem(request.response ?? { status: request.status, title: request.statusText }));
    };
    const form = new FormData();
    if (collection) form.append("collection", collection);
    form.append("file", file);
    request.send(form);
  });
}

/** What the page shows of a document. */
function standing(document) {
  const phase = { ready: "ready", failed: "failed", cancelled: "failed" }[document.status] ?? "reads";
  return { phase, document, name: document.filename, problem: document.error && new Problem({ detail: document.error.message }) };
}

/** Looks at what is being read, again and again while something is. */
export async function follow() {
  clearTimeout(timer);
  if (!may("read")) return;
  let pause = REST_MS;
  try {
    const found = await get("/v1/documents?limit=20&status=queued&status=running&status=waiting");
    await look(found.data);
    if (unfinished.value.length) pause = PAUSE_MS;
  } catch (problem) {
    pause = 1000 * (problem.retryAfter || 3);
  }
  timer = setTimeout(follow, document.hidden ? 4 * pause : pause);
}

async function look(reading) {
  const known = new Set(files.value.map((each) => each.document?.id));
  const others = reading.filter((each) => !known.has(each.id));
  if (others.length) files.value = [...files.value, ...others.map((each) => ({ key: (keys += 1), ...standing(each) }))];
  for (const each of files.value.filter((one) => one.phase === "reads")) {
    const now = reading.find((one) => one.id === each.document.id) ?? (await present(each.document.id));
    if (now) change(each.key, standing(now));
    else dismiss(each.key);
    if (now?.status === "ready") documents.value = (documents.value ?? 0) + 1;
  }
}

/** A document as it is now; null if it was deleted meanwhile. */
async function present(id) {
  try {
    return await get(`/v1/documents/${id}`);
  } catch (problem) {
    if (problem.status === 404) return null;
    throw problem;
  }
}

/** Finds out whether there is anything to ask. */
export async function count() {
  const found = await get("/v1/documents?limit=1&status=ready");
  documents.value = found.data.length;
}

export function dismiss(key) {
  files.value = files.value.filter((each) => each.key !== key);
}

addEventListener("visibilitychange", () => !document.hidden && follow());
// Bytes that were not sent would be lost.
addEventListener("beforeunload", (event) => {
  if (files.value.some((each) => /waits|sends/.test(each.phase))) event.preventDefault();
});
