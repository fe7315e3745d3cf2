/** The documents of the library: a window of a long list, asked for a hundred at a time, and always as they are now. */

import { signal } from "../vendor/preact.js";
import { get, post } from "./api.js";
import { listen } from "./live.js";

const PAGE = 100;
const REST_MS = 60; // what is only scrolled past is not asked for
const GATHER_MS = 400; // in which changes of the order gather before the list is asked for again

/** How many documents match; null: not known yet. */
export const total = signal(null);
export const problem = signal(null);
/** Raised whenever a row has changed. */
export const drawn = signal(0);
/** Whether there are new documents above what is seen. */
export const hasNew = signal(false);

let query = null;
let rows = new Map();
let places = new Map();
let asked = new Set();
let seen = [0, 0];
let isAtTop = true;
let timer = 0;
let resting = 0;

/** The document at a place of the list; undefined: it is on its way. */
export const row = (index) => rows.get(index);

/** Shows what matches `{collection, status, q, sort}`; empty ones choose all. */
export function show(wanted) {
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(wanted)) {
    if (name === "status" && value === "reading") for (const each of ["queued", "running", "waiting"]) given.append(name, each);
    else if (value) given.append(name, value);
  }
  if (String(given) === query) return;
  query = String(given);
  forget();
  total.value = problem.value = null;
  load(0, true);
}

function forget() {
  rows = new Map();
  places = new Map();
  asked = new Set();
  hasNew.value = false;
}

/** Has the rows from `first` to `last` at hand, as soon as they have been seen for a moment. */
export function need(first, last, atTop) {
  seen = [first, last];
  isAtTop = atTop;
  clearTimeout(resting);
  resting = setTimeout(loadSeen, REST_MS);
}

function loadSeen() {
  const [first, last] = seen;
  if (isAtTop && hasNew.value) refresh();
  for (let page = Math.floor(first / PAGE); page <= Math.floor(last / PAGE); page += 1) {
    if (!asked.has(page) && page * PAGE < (total.value ?? 1)) load(page);
  }
}

async function load(page, withTotal = false) {
  asked.add(page);
  const of = query;
  try {
    const found = await get(`/v1/documents?${of}&limit=${PAGE}&offset=${page * PAGE}${withTotal ? "&total=true" : ""}`);
    if (of !== query) return;
    found.data.forEach((each, index) => put(page * PAGE + index, each));
    if (withTotal) total.value = found.total;
    problem.value = null;
  } catch (refused) {
    asked.delete(page);
    if (of === query) problem.value = refused;
  }
  drawn.value += 1;
}

function put(index, document) {
  rows.set(index, document);
  places.set(document.id, index);
}

/** Asks for what is seen again, and for how many there are. */
export async function refresh() {
  clearTimeout(timer);
  timer = 0;
  hasNew.value = false;
  const pages = new Set([Math.floor(seen[0] / PAGE), Math.floor(seen[1] / PAGE)]);
  asked = new Set();
  places = new Map();
  await Promise.all([...pages].map((page, index) => load(page, index === 0)));
  for (const [index] of rows) if (index >= (total.value ?? 0) || !asked.has(Math.floor(index / PAGE))) rows.delete(index);
  drawn.value += 1;
}

export const again = () => ((problem.value = null), refresh());

function hear(name, data) {
  if (query === null) return;
  if (name === "reset") return void soon();
  if (name === "removed" && places.has(data.document_id)) return void soon();
  if (name !== "document") return;
  const { document } = data;
  const index = places.get(document.id);
  const before = rows.get(index);
  if (before?.id === document.id && fits(document) === fits(before)) {
    rows.set(index, document);
    drawn.value += 1;
  } else if (isAtTop) soon();
  else if (index === undefined) hasNew.value = true;
}

/** Whether it still belongs where a state or a collection was asked for. */
function fits(document) {
  const given = new URLSearchParams(query);
  const states = given.getAll("status");
  return (!states.length || states.includes(document.status)) && (given.get("collection") ?? document.collection) === document.collection;
}

function soon() {
  timer ||= setTimeout(refresh, GATHER_MS);
}

listen(hear);

// -- chosen documents ---------------------------------------------------------------------------------------------------

/** The ids that are chosen, and whether all that match are. */
export const chosen = signal(new Set());
export const all = signal(false);

export function choose(id, isChosen) {
  // One less than all: all that are here, but this one.
  const next = new Set(all.value ? [...rows.values()].map((each) => each.id) : chosen.value);
  if (isChosen) next.add(id);
  else next.delete(id);
  all.value = false;
  chosen.value = next;
}

/** From one row to another, as far as they are there. */
export function chooseRange(from, to) {
  const next = new Set(chosen.value);
  for (let index = Math.min(from, to); index <= Math.max(from, to); index += 1) if (rows.has(index)) next.add(rows.get(index).id);
  chosen.value = next;
}

export function chooseAll(isChosen) {
  all.value = isChosen;
  chosen.value = new Set();
}

export const howMany = () => (all.value ? (total.value ?? 0) : chosen.value.size);

const MOST = 1000; // ids in one request

/** Begins `delete`, `move` or `reingest` of what is chosen, with what else the request needs; the tasks. Throws Problem. */
export async function begin(what, also) {
  const given = new URLSearchParams(query);
  const where = { status: given.getAll("status") };
  if (!where.status.length) where.status = ["queued", "running", "waiting", "ready", "failed", "cancelled"];
  for (const name of ["collection", "q"]) if (given.has(name)) where[name] = given.get(name);
  const ids = [...chosen.value];
  const parts = all.value ? [{ where }] : ids.map((_, at) => at).filter((at) => at % MOST === 0).map((at) => ({ ids: ids.slice(at, at + MOST) }));
  const tasks = [];
  for (const each of parts) tasks.push(await post(`/v1/documents/${what}`, { ...each, ...also }));
  chooseAll(false);
  return tasks;
}
