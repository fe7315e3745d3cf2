/** Files on their way: recognised by their bytes, sent three at a time, then followed until they are ready or failed. */

import { computed, signal } from "../vendor/preact.js";
import { Problem, get, may, me, post } from "./api.js";
import { counts, listen } from "./live.js";
import { forget, holdTab, leftBehind, remember, same } from "./pending_files.js";
import { send, sha256 } from "./upload_requests.js";

const AT_ONCE = 3;
const RECOGNISED_AT_ONCE = 25;
const SHOWN_MS = 100; // between two drawings of what changes with each piece that is sent
const OTHERS = 20; // of what others add, that are listed here

/**
 * What is sent or read, newest first: `{key, name, phase, share, document, problem}`; phase: new, waits, sends, reads,
 * ready, failed. The objects change; the list is a new one at each drawing.
 */
export const files = signal([]);
/** Files that were not sent before a reload; `total`: of how many. */
export const left = signal({ rows: [], total: 0 });
/** How many documents can be asked; null: not known yet. */
export const documents = computed(() => counts.value?.ready ?? some.value);
const some = signal(null); // before the first count: whether there are any

export const unfinished = computed(() => files.value.filter((each) => /new|waits|sends|reads/.test(each.phase)));
export const failed = computed(() => files.value.filter((each) => each.phase === "failed"));

const tab = `${Date.now()}-${Math.random()}`;
const byDocument = new Map(); // sets of entries: the same file may be added twice
let all = [];
let keys = 0;
let drawing = 0;

function draw() {
  drawing ||= setTimeout(() => {
    drawing = 0;
    files.value = [...all];
  }, SHOWN_MS);
}

function change(entry, fields) {
  Object.assign(entry, fields);
  if (entry.document) byDocument.set(entry.document.id, (byDocument.get(entry.document.id) ?? new Set()).add(entry));
  if (/ready|failed|reads/.test(entry.phase) && entry.row) {
    forget([entry.row.id]);
    entry.row = null;
  }
  draw();
}

const rowOf = (file, path) => ({ path, size: file.size, modified: file.lastModified });

/**
 * Adds files of this machine: `[{file, path}]`. Where `path` is below a folder it names the document (`external_id`):
 * the same folder again makes versions. `rows`: what was remembered of them, if they were chosen again.
 */
export function add(chosen, { collection = "", rows = new Map() } = {}) {
  if (!may("write") || !chosen.length) return;
  holdTab(tab);
  const of = { owner: ownerOf(), tab, total: chosen.length };
  const added = chosen.map(({ file, path = file.name, externalId: named }) => {
    const known = rows.get(same(rowOf(file, path)));
    const id = known?.id ?? `${tab} ${(keys += 1)}`;
    const row = { ...rowOf(file, path), collection, ...known, ...of, id, idempotency: known?.idempotency ?? random() };
    return { key: id, name: file.name, path, externalId: named, file, row, phase: "new", share: 0, collection: row.collection };
  });
  remember(added.map((each) => each.row));
  all = [...added.reverse(), ...all];
  draw();
  recognise();
}

/** Adds what an address gives; a worker fetches it. */
export async function addAddress(url, collection) {
  const accepted = await post("/v1/documents/url", { url, ...(collection && { collection }) });
  hear("document", { document: accepted.document });
}

const ownerOf = () => me.value?.key_id ?? me.value?.tenant_id;
const random = () => crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;

// -- what is there already is not sent --------------------------------------------------------------------------------

let recognising = false;

/** Looks at files a few at a time, so that the first ones are sent while the others are still read. */
async function recognise() {
  if (recognising) return;
  recognising = true;
  for (;;) {
    const some = all.filter((each) => each.phase === "new" && each.file).slice(-RECOGNISED_AT_ONCE).reverse();
    if (!some.length) break;
    const found = await knownAmong(some).catch(() => new Map());
    for (const each of some) {
      const document = found.get(each);
      change(each, document ? { phase: "ready", document: { id: document.document_id, filename: document.filename }, again: true, file: null } : { phase: "waits" });
    }
    sendNext();
  }
  recognising = false;
}

/** Documents by entry: those that have the same bytes, and the same name where that counts. */
async function knownAmong(entries) {
  const found = new Map();
  const collection = entries[0].collection || "default";
  const alike = entries.filter((each) => (each.collection || "default") === collection);
  for (const each of alike) each.sha256 ??= await sha256(each.file);
  const hashes = [...new Set(alike.map((each) => each.sha256).filter(Boolean))];
  if (!hashes.length) return found;
  const { data } = await post("/v1/documents/known", { sha256: hashes, collection });
  for (const each of alike) {
    const isIt = (one) => one.sha256 === each.sha256 && /queued|running|waiting|ready/.test(one.status);
    const named = externalId(each);
    const document = data.find((one) => isIt(one) && (!named || one.external_id === named));
    if (document) found.set(each, document);
  }
  return found;
}

/** The name that a file has for the server, if it counts: the same name again is a new version. */
const externalId = (entry) => entry.externalId ?? (entry.path.includes("/") ? entry.path : undefined);

// -- sent ---------------------------------------------------------------------------------------------------------------

let pausedUntil = 0;

function sendNext() {
  const sending = all.filter((each) => each.phase === "sends").length;
  const next = all.findLast((each) => each.phase === "waits");
  if (sending >= AT_ONCE || !next || Date.now() < pausedUntil) return;
  change(next, { phase: "sends", share: 0, hint: null });
  sendOne(next).finally(sendNext);
  sendNext();
}

async function sendOne(entry) {
  const given = { collection: entry.collection || undefined, external_id: externalId(entry), key: entry.row.idempotency, sha256: entry.sha256 };
  try {
    const accepted = await send(entry.file, given, (share) => change(entry, { share }));
    entry.again = accepted.deduplicated;
    change(entry, { ...standing(accepted.document, entry), file: null });
  } catch (problem) {
    if (problem.code === "offline" || problem.retryAfter || problem.status === 401) {
      const seconds = problem.retryAfter || 2;
      pausedUntil = Date.now() + 1000 * seconds;
      setTimeout(sendNext, 1000 * seconds + 50);
      change(entry, { phase: "waits", hint: problem.code === "offline" ? null : problem });
    } else change(entry, { phase: "failed", problem, file: null });
  }
}

// -- followed -----------------------------------------------------------------------------------------------------------

/** What the page shows of a document; what was there already keeps the name by which it was added. */
function standing(document, { again, name } = {}) {
  const phase = { ready: "ready", failed: "failed", cancelled: "failed" }[document.status] ?? "reads";
  return { phase, document, name: again ? name : document.filename, problem: document.error && new Problem({ detail: document.error.message }) };
}

const followers = (id) => byDocument.get(id) ?? new Set();

function hear(name, data) {
  if (name === "reset") return void begin().catch(() => {});
  if (name === "removed") return void [...followers(data.document_id)].forEach((each) => dismiss(each.key));
  if (name !== "document") return undefined;
  const { document } = data;
  const known = followers(document.id);
  if (known.size) return known.forEach((each) => change(each, standing(document, each)));
  const entry = { key: document.id, isOthers: true, ...standing(document) };
  if (entry.phase !== "reads" || all.filter((each) => each.isOthers).length >= OTHERS) return undefined;
  all = [...all, entry];
  return change(entry, {});
}

/** Finds out what is being read, and what this browser has left to send. */
export async function begin() {
  if (!may("read")) return;
  if (!counts.value) some.value = (await get("/v1/documents?limit=1&status=ready")).data.length;
  const found = await get(`/v1/documents?limit=${OTHERS}&status=queued&status=running&status=waiting`);
  const reading = new Set(found.data.map((each) => each.id));
  for (const document of found.data) hear("document", { document });
  for (const each of all.filter((one) => one.phase === "reads" && !reading.has(one.document.id))) {
    const now = await get(`/v1/documents/${each.document.id}`).catch((problem) => problem);
    if (now.status === 404) dismiss(each.key);
    else if (now.id) change(each, standing(now, each));
  }
  const rows = may("write") ? await leftBehind(ownerOf()) : [];
  left.value = { rows, total: Math.max(0, ...rows.map((each) => each.total)) };
  sendNext();
}

/** Sends those of the chosen files that are left; the others have arrived. How many of them were found. */
export function goOn(chosen) {
  const rows = new Map(left.value.rows.map((each) => [same(each), each]));
  const found = chosen.filter(({ file, path = file.name }) => rows.has(same(rowOf(file, path))));
  add(found, { rows });
  const ids = new Set(found.map(({ file, path = file.name }) => rows.get(same(rowOf(file, path))).id));
  left.value = { ...left.value, rows: left.value.rows.filter((each) => !ids.has(each.id)) };
  return found.length;
}

export function giveUp() {
  forget(left.value.rows.map((each) => each.id));
  left.value = { rows: [], total: 0 };
}

export function dismiss(key) {
  const entry = all.find((each) => each.key === key);
  if (!entry) return;
  if (entry.row) forget([entry.row.id]);
  const others = followers(entry.document?.id);
  others.delete(entry);
  if (!others.size) byDocument.delete(entry.document?.id);
  all = all.filter((each) => each !== entry);
  draw();
}

/** Takes everything off the list that is over. */
export function dismissOver() {
  all = all.filter((each) => !/ready|failed/.test(each.phase));
  draw();
}

listen(hear);
// Bytes that were not sent would have to be chosen again.
addEventListener("beforeunload", (event) => {
  if (all.some((each) => /new|waits|sends/.test(each.phase))) event.preventDefault();
});
