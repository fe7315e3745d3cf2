/** All documents: found, ordered, watched while they are read, and changed many at once. */

import { html, signal, useEffect, useRef } from "../../vendor/preact.js";
import { call, get, may } from "../api.js";
import * as listing from "../listing.js";
import { counts } from "../live.js";
import { at, go } from "../router.js";
import { files } from "../uploads.js";
import { words } from "../words.js";
import { Collection, Dialog, Left, askForAddress } from "../parts/drop.js";
import { Choose, Reading, progressOf } from "../parts/files.js";
import { Rows } from "../parts/list.js";
import { Failure, Name, Said, Waiting } from "../parts/state.js";

const ROW_REM = 2.5;
const TYPING_MS = 250;

const collections = signal([]);
const dialog = signal(null);
const told = signal("");
const refused = signal(null);

const wanted = () => Object.fromEntries(["collection", "status", "q", "sort"].map((name) => [name, at.value.query.get(name) ?? ""]));

/** The address of the library with other conditions. */
function address(fields) {
  const given = Object.entries({ ...wanted(), ...fields }).filter(([, value]) => value);
  return given.length ? `/library?${new URLSearchParams(given)}` : "/library";
}

const loadCollections = () => get("/v1/collections?limit=100").then((found) => (collections.value = found.data), () => {});

export function Library() {
  const of = JSON.stringify(wanted());
  useEffect(() => {
    document.title = `${words.library.title} · ${words.name}`;
    loadCollections();
  }, []);
  useEffect(() => {
    if (may("read")) listing.show(wanted());
    listing.chooseAll(false);
  }, [of]);
  if (!may("read")) return html`<main id="main" class="library"><h1 tabindex="-1">${words.library.title}</h1><p>${words.missingScope("read")}</p></main>`;
  const isEmpty = counts.value?.documents === 0 && listing.total.value === 0 && of === JSON.stringify({ collection: "", status: "", q: "", sort: "" });
  return html`<main id="main" class="library">
    <div class="shelf">
      <h1 tabindex="-1">${words.library.title}</h1>
      ${may("write") && html`<span class="ways"><${Choose} look="plain add" /><${Choose} folder look="plain add" /><button type="button" class="plain add" onClick=${askForAddress}>${words.drop.fromAddress}</button></span>`}
      ${!isEmpty && html`<${Find} />`}
    </div>
    <${Left} />
    <${Sending} />
    ${isEmpty ? html`<${Empty} />` : html`<${Sum} /><${Documents} of=${of} /><${Chosen} />`}
    <p class="vh" role="status">${told.value}</p>
    ${dialog.value && html`<${dialog.value} close=${() => (dialog.value = null)} />`}
  </main>`;
}

/** How much is sent of what was added here, and what the server did not take. */
function Sending() {
  const own = files.value.filter((each) => !each.isOthers);
  const left = own.filter((each) => /new|waits|sends/.test(each.phase)).length;
  const done = own.length - left;
  return html`${left > 0 &&
    html`<div class="sending"><span>${words.library.sending(done, own.length)}</span><progress value=${done} max=${own.length} aria-label=${words.reading}></progress></div>`}
    <${Reading} which=${(each) => each.phase === "failed" && !each.document} />`;
}

function Empty() {
  return html`<div class="empty">
    <p class="lead">${may("write") ? words.library.empty : words.first.noWrite}</p>
    ${may("write") && html`<p class="soft">${words.library.emptyHow}<br />${words.first.formats}</p><p><${Choose} /></p>`}
    ${files.value.length > 0 && html`<${Reading} which=${(each) => each.document} />`}
  </div>`;
}

function Find() {
  const timer = useRef(0);
  const { q, collection, sort } = wanted();
  const typed = ({ target }) => {
    clearTimeout(timer.current);
    timer.current = setTimeout(() => go(address({ q: target.value.trim() }), { replace: true }), TYPING_MS);
  };
  return html`<form class="finder" role="search" onSubmit=${(event) => event.preventDefault()}>
    <input type="search" id="find" aria-label=${words.library.find} placeholder=${words.library.find} maxlength="200" defaultValue=${q} key=${collection} onInput=${typed} />
    ${collections.value.length > 1 &&
    html`<select aria-label=${words.drop.collection} value=${collection} onChange=${({ target }) => go(address({ collection: target.value }))}>
      <option value="">${words.field.all}</option>
      ${collections.value.map((each) => html`<option value=${each.name}>${each.name}</option>`)}
    </select>`}
    <select aria-label=${words.library.order} value=${sort || "newest"} onChange=${({ target }) => go(address({ sort: target.value === "newest" ? "" : target.value }))}>
      ${Object.entries(words.library.orders).map(([name, label]) => html`<option value=${name}>${label}</option>`)}
    </select>
  </form>`;
}

/** How many there are, and how many of these are being read or need a look: each a link to them. */
function Sum() {
  const { status } = wanted();
  const { documents = 0, queued = 0, running = 0, waiting = 0, failed = 0 } = counts.value ?? {};
  const link = (value, text, look = "") => html`<a class=${look} href=${address({ status: value })} aria-current=${status === value ? "true" : undefined}>${text}</a>`;
  const reading = queued + running + waiting;
  return html`<p class="sum">
    ${link("", words.library.count(documents))}
    ${(reading > 0 || status === "reading") && link("reading", words.beingRead(reading))}
    ${(failed > 0 || status === "failed") && link("failed", words.needLook(failed), "doubtful")}
    ${listing.hasNew.value && html`<button type="button" class="plain new" onClick=${listing.refresh}>${words.library.more}</button>`}
    ${(wanted().q || wanted().collection) && listing.total.value > 0 && html`<span class="soft">${words.library.found(listing.total.value)}</span>`}
  </p>`;
}

function Documents({ of }) {
  const { drawn, total, problem } = listing;
  const last = useRef(0);
  drawn.value; // eslint-disable-line -- a row has changed
  if (problem.value && total.value === null) return html`<${Failure} problem=${problem.value} again=${listing.again} />`;
  if (total.value === null) return html`<${Waiting} />`;
  if (!total.value) return html`<p class="lead none">${words.library.none} <a href="/library">${words.library.all}</a></p>`;
  const pick = (index, document) => (event) => {
    if (event.shiftKey) listing.chooseRange(last.current, index);
    else listing.choose(document.id, event.target.checked);
    last.current = index;
  };
  const chooses = may("write");
  const head = html`<div class="row head" role="row" aria-rowindex="1">
    <span class="c" role="columnheader">
      ${chooses && html`<input type="checkbox" aria-label=${words.library.chooseAll(total.value)} checked=${listing.all.value} onChange=${({ target }) => listing.chooseAll(target.checked)} />`}
      ${!chooses && html`<span class="vh">${words.library.columns[0]}</span>`}
    </span>
    ${words.library.columns.map((each, index) => html`<span class="sc ${COLUMNS[index]}" role="columnheader">${each}</span>`)}
  </div>`;
  return html`${problem.value && html`<${Failure} problem=${problem.value} again=${listing.again} />`}
    <${Rows} total=${total.value} height=${ROW_REM} label=${words.library.title} head=${head} of=${of} need=${listing.need}
      row=${(index) => html`<${Row} key=${index} index=${index} document=${listing.row(index)} pick=${pick} chooses=${chooses} />`} />`;
}

const COLUMNS = ["name", "n", "n", "how", "when"];

function Row({ index, document, pick, chooses }) {
  if (!document) return html`<div class="row" role="row" aria-rowindex=${index + 2}><span role="cell" class="soft">${"…"}</span></div>`;
  const isChosen = listing.all.value || listing.chosen.value.has(document.id);
  const space = (event) => {
    if (event.key !== " " || !chooses) return;
    event.preventDefault();
    listing.choose(document.id, !isChosen);
  };
  return html`<div class=${`row${isChosen ? " on" : ""}`} role="row" aria-rowindex=${index + 2}>
    <span class="c" role="cell">${chooses && html`<input type="checkbox" aria-label=${words.library.choose(document.filename)} checked=${isChosen} onClick=${pick(index, document)} />`}</span>
    <span class="name" role="cell"><a href=${`/d/${document.id}`} onKeyDown=${space}><${Name} text=${document.filename} /></a></span>
    <span class="n" role="cell">${words.library.number(document.pages)}</span>
    <span class="n" role="cell">${words.library.number(document.chunks)}</span>
    <${State} document=${document} />
    <span class="when" role="cell">${words.library.when(document.created_at)}</span>
  </div>`;
}

function State({ document }) {
  const { status, error } = document;
  if (status === "ready") return html`<span class="how soft" role="cell">${words.library.ready}</span>`;
  if (status === "failed") return html`<span class="how doubtful" role="cell" title=${error?.message}>† <${Said} text=${error?.message ?? words.library.failed} /></span>`;
  if (status === "cancelled") return html`<span class="how doubtful" role="cell">${words.cancelled}</span>`;
  const [share, text] = progressOf(document);
  return html`<span class="how" role="cell"><span>${text}</span>${share !== null && html`<progress value=${share} max="1" aria-label=${document.filename}></progress>`}</span>`;
}

// -- what is done with several ------------------------------------------------------------------------------------------

function Chosen() {
  const n = listing.howMany();
  if (!n) return html`<${Refused} />`;
  const ids = [...listing.chosen.value];
  return html`<div class="chosen" role="region" aria-label=${words.library.chosenRegion}>
    <span>${words.library.chosen(n)}</span>
    <button type="button" class="plain" onClick=${() => (dialog.value = DeleteDialog)}>${words.library.delete}</button>
    <button type="button" class="plain" onClick=${() => (dialog.value = MoveDialog)}>${words.library.move}</button>
    <button type="button" class="plain" onClick=${() => work("reingest", n)}>${words.library.again}</button>
    ${!listing.all.value && html`<button type="button" class="plain" onClick=${() => (dialog.value = (given) => html`<${Metadata} ids=${ids} ...${given} />`)}>${words.library.metadata}</button>`}
    <button type="button" class="plain" onClick=${() => listing.chooseAll(false)}>${words.library.none_chosen}</button>
    <${Refused} />
  </div>`;
}

const Refused = () => (refused.value ? html`<${Failure} problem=${refused.value} />` : told.value && html`<p class="done soft" aria-hidden="true">${told.value}</p>`);

const TOLD = { delete: "deleted", move: "moved", reingest: "readAgain" };

/** Begins a task, and tells how far it is until it is over. */
async function work(what, n, also = {}) {
  refused.value = null;
  try {
    let tasks = await listing.begin(what, also);
    for (;;) {
      const done = tasks.reduce((sum, each) => sum + each.progress.done, 0);
      const isOver = tasks.every((each) => each.status === "completed");
      told.value = words.library[TOLD[what]](isOver && what !== "move" ? n : done, n, isOver, also.collection);
      if (isOver) break;
      await new Promise((resolve) => setTimeout(resolve, 700));
      tasks = await Promise.all(tasks.map((each) => (each.status === "completed" ? each : get(`/v1/tasks/${each.id}`))));
    }
    listing.refresh();
    if (what === "move") loadCollections();
    setTimeout(() => (told.value = ""), 6000);
  } catch (problem) {
    refused.value = problem;
  }
}

function DeleteDialog({ close }) {
  const n = listing.howMany();
  const submit = () => {
    work("delete", n);
    close();
  };
  return html`<${Dialog} title=${words.library.deleteTitle(n)} act=${words.library.deleteAct(n)} close=${close} submit=${submit}>
    <p>${words.library.deleteWhat(n)}</p>
  <//>`;
}

function MoveDialog({ close }) {
  const n = listing.howMany();
  const submit = (collection) => {
    work("move", n, { collection });
    close();
  };
  return html`<${Move} n=${n} close=${close} submit=${submit} />`;
}

/** Asks where to. */
export function Move({ n, close, submit }) {
  const name = useRef(signal("")).current;
  const to = name.value.trim();
  return html`<${Dialog} title=${words.library.moveTitle(n)} act=${words.library.moveAct} close=${close} submit=${() => submit(to)} busy=${!to}>
    <${Collection} value=${name.value} choose=${(typed) => (name.value = typed)} usual="" />
    <p class="soft">${words.library.moveWhat(n)}</p>
  <//>`;
}

/** Sets one value in the metadata of each; `ids`: of which documents. */
export function Metadata({ ids, close, changed = listing.refresh }) {
  const [name, value, problem, busy] = useRef([signal(""), signal(""), signal(null), signal(false)]).current;
  const submit = async () => {
    busy.value = true;
    try {
      for (const id of ids) await call("PATCH", `/v1/documents/${id}`, { body: { metadata: { [name.value.trim()]: meant(value.value) } } });
      close();
      changed();
    } catch (refusal) {
      problem.value = refusal;
    }
    busy.value = false;
  };
  return html`<${Dialog} title=${words.library.metadataTitle(ids.length)} act=${words.library.set} close=${close} submit=${submit} busy=${busy.value || !name.value.trim()}>
    <label class="line">${words.library.key}<input dir="auto" maxlength="200" value=${name.value} onInput=${({ target }) => (name.value = target.value)} /></label>
    <label class="line">${words.library.value}<input dir="auto" value=${value.value} onInput=${({ target }) => (value.value = target.value)} /></label>
    <p class="soft">${words.library.valueHint}</p>
    ${problem.value && html`<${Failure} problem=${problem.value} />`}
  <//>`;
}

/** A number or a truth value where it reads as one; empty: the key is removed. */
function meant(text) {
  const trimmed = text.trim();
  if (!trimmed) return null;
  if (/^-?\d+(\.\d+)?$/.test(trimmed) && String(Number(trimmed)) === trimmed) return Number(trimmed);
  return { true: true, false: false }[trimmed] ?? text;
}
