/** A document: what was read of it and what was not, how long it took, its files, and what can be done with it. */

import { html, signal, useEffect, useRef, useState } from "../../vendor/preact.js";
import { call, get, may, post } from "../api.js";
import { listen } from "../live.js";
import { at } from "../router.js";
import { words } from "../words.js";
import { Dialog } from "../parts/drop.js";
import { Choose, progressOf } from "../parts/files.js";
import { Failure, Name, Said, Waiting } from "../parts/state.js";
import { add } from "../uploads.js";
import { Metadata, Move } from "./library.js";

const MOST = 100; // files found in it that are listed

export function Document() {
  const id = at.value.document;
  const [about, setAbout] = useState(null);
  const [problem, setProblem] = useState(null);
  const load = () => read(id).then((found) => (setAbout(found), setProblem(null)), setProblem);
  useEffect(() => {
    setAbout(null);
    load();
    // Of its changes only the last in a while is read.
    let timer = 0;
    const ends = listen((name, data) => {
      if (name !== "reset" && data?.document?.id !== id && data?.document?.parent_id !== id && data?.document_id !== id) return;
      if (data?.document?.id === id) setAbout((before) => before && { ...before, document: data.document });
      timer ||= setTimeout(() => ((timer = 0), load()), 600);
    });
    return () => (clearTimeout(timer), ends());
  }, [id]);
  const name = about?.document.filename;
  useEffect(() => {
    if (name) document.title = `${name} · ${words.name}`;
  }, [name]);
  if (about?.receipt) return html`<${Page}><${Receipt} receipt=${about.receipt} name=${about.name} /><//>`;
  if (problem?.code === "document_not_found") return html`<${Page}><h1 tabindex="-1">${words.page.gone}</h1><//>`;
  if (problem && !about) return html`<${Page}><${Failure} problem=${problem} again=${load} /><//>`;
  if (!about) return html`<${Page}><${Waiting} /><//>`;
  return html`<${Page}>
    <${Title} about=${about} />
    ${problem && html`<${Failure} problem=${problem} again=${load} />`}
    <${Read} about=${about} />
    ${/failed|cancelled/.test(about.document.status) && html`<${Mend} document=${about.document} changed=${load} />`}
    <${Steps} report=${about.report} />
    <${Facts} document=${about.document} changed=${load} />
    ${about.found.length > 0 && html`<${Found} found=${about.found} />`}
    <${Acts} about=${about} changed=${load} deleted=${(receipt) => setAbout({ ...about, receipt, name })} />
  <//>`;
}

const Page = ({ children }) => html`<main id="main" class="library"><div class="about">
  <p class="back"><a href="/library">← ${words.library.title}</a></p>
  ${children}
</div></main>`;

async function read(id) {
  const [document, report, found] = await Promise.all([
    get(`/v1/documents/${id}`),
    get(`/v1/documents/${id}/report`),
    get(`/v1/documents?parent_id=${id}&limit=${MOST}&sort=name`),
  ]);
  return { document, report, found: found.data };
}

function Title({ about: { document } }) {
  const facts = [words.about.version(document.version), words.about.bytes(document.bytes), words.about.added(document.created_at)];
  return html`<h1 tabindex="-1"><${Name} text=${document.filename} /></h1>
    <p class="soft">${facts.join(" · ")}</p>
    ${document.status === "ready" && html`<p><a class="act" href=${`/d/${document.id}/p/1?v=${document.version}`}>${words.about.open}</a></p>`}`;
}

/** What was read and what was not, as sentences. */
function Read({ about: { document, report } }) {
  const { status, error } = document;
  if (status === "failed" || status === "cancelled")
    return html`<p class="lead doubtful" role="status">† ${error ? html`<${Said} text=${error.message} />` : words.cancelled}</p>`;
  if (status !== "ready") {
    const [share, text] = progressOf(document);
    return html`<div class="progress" role="status"><p class="lead">${text}</p>${share !== null && html`<progress value=${share} max="1" aria-label=${document.filename}></progress>`}</div>`;
  }
  const gaps = words.about.gaps(report);
  return html`<h2 class="sc">${words.about.read}</h2>
    <p class="lead">${words.about.sum(report)}</p>
    ${gaps.map((each) => html`<p class="doubtful">${each}</p>`)}
    ${report.warnings.map((each) => html`<p class="doubtful"><${Said} text=${each.message} /></p>`)}
    ${report.skipped_files.length > 0 && html`<ul class="doubtful">${report.skipped_files.map((each) => html`<li><${Name} text=${each.name} />: <code>${each.code}</code></li>`)}</ul>`}
    ${!gaps.length && !report.warnings.length && !report.skipped && html`<p class="soft">${words.about.whole}</p>`}`;
}

/** `[problem, tried]`: what `tried(work)` returns does the work, and notes what went wrong in the signal `problem`. */
function useTried(changed) {
  const problem = useRef(signal(null)).current;
  const tried = (work) => async () => {
    problem.value = null;
    try {
      await work();
      changed();
    } catch (refusal) {
      problem.value = refusal;
    }
  };
  return [problem, tried];
}

const again = (id) => () => post("/v1/documents/reingest", { ids: [id] });

/** What can be done about a file that was not read. */
function Mend({ document, changed }) {
  const [problem, tried] = useTried(changed);
  const replace = ([{ file }]) => add([{ file, externalId: document.external_id ?? undefined }], { collection: document.collection });
  return html`<p class="mend">
      ${document.status === "failed" && !document.source_url && html`<${Choose} label=${words.about.upload} take=${replace} />`}
      ${may("write") && html`<button type="button" class="plain" onClick=${tried(again(document.id))}>${words.library.again}</button>`}
    </p>
    ${problem.value && html`<${Failure} problem=${problem.value} />`}`;
}

function Steps({ report }) {
  const begun = report.steps.filter((each) => each.attempts);
  if (!begun.length) return null;
  const longest = Math.max(0.001, ...begun.map((each) => each.seconds ?? 0));
  return html`<h2 class="sc">${words.about.time}</h2>
    <table class="times"><tbody>
      ${begun.map(
        (each) => html`<tr>
          <th scope="row">${words.stepName(each.name)}</th>
          <td class="n">${each.seconds === null ? "–" : words.about.seconds(each.seconds)}</td>
          <td class="bar"><progress value=${(each.seconds ?? 0) / longest} max="1" aria-label=${words.stepName(each.name)}></progress></td>
          <td class="soft">${each.attempts > 1 ? words.about.attempts(each.attempts) : ""}</td>
        </tr>`,
      )}
    </tbody></table>`;
}

function Facts({ document, changed }) {
  const open = useRef(signal(false)).current;
  const metadata = Object.entries(document.metadata);
  const facts = [
    [words.drop.collection, html`<a href=${`/library?collection=${encodeURIComponent(document.collection)}`}><${Name} text=${document.collection} /></a>`],
    document.external_id && [words.about.path, html`<${Name} text=${document.external_id} />`],
    document.source_url && document.source_url !== document.external_id && [words.about.address, html`<${Name} text=${document.source_url} />`],
    document.parent_id && [words.about.foundIn, html`<a href=${`/d/${document.parent_id}`}>${words.about.container}</a>`],
    [words.about.type, words.about.typeOf(document.media_type)],
  ].filter(Boolean);
  return html`<h2 class="sc">${words.about.facts}</h2>
    <dl>
      ${facts.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}
      ${metadata.map(([name, value]) => html`<dt><${Name} text=${name} /></dt><dd><${Name} text=${typeof value === "string" ? value : JSON.stringify(value)} /></dd>`)}
    </dl>
    ${may("write") && html`<p><button type="button" class="plain add" onClick=${() => (open.value = true)}>${words.library.metadata}</button></p>`}
    ${open.value && html`<${Metadata} ids=${[document.id]} close=${() => (open.value = false)} changed=${changed} />`}`;
}

function Found({ found }) {
  return html`<h2 class="sc">${words.about.files}</h2>
    <ul class="found">
      ${found.map((each) => html`<li><a href=${`/d/${each.id}`}><${Name} text=${each.filename} /></a> <span class=${each.status === "failed" ? "doubtful" : "soft"}>${words.about.state(each)}</span></li>`)}
    </ul>`;
}

function Acts({ about: { document }, changed, deleted }) {
  const [asks, moves] = useRef([signal(false), signal(false)]).current;
  const [problem, tried] = useTried(changed);
  const isOver = /ready|failed|cancelled/.test(document.status);
  return html`<p class="acts">
      ${document.bytes > 0 && html`<a href=${`/v1/documents/${document.id}/content`} download=${document.filename}>${words.about.download}</a>`}
      ${may("write") && document.status === "ready" && html`<button type="button" class="plain" onClick=${tried(again(document.id))}>${words.library.again}</button>`}
      ${may("write") && !isOver && html`<button type="button" class="plain" onClick=${tried(() => call("POST", `/v1/jobs/${document.job_id}/cancel`))}>${words.about.cancel}</button>`}
      ${may("write") && !document.parent_id && html`<button type="button" class="plain" onClick=${() => (moves.value = true)}>${words.library.move}</button>`}
      ${may("write") && html`<button type="button" class="plain" onClick=${() => (asks.value = true)}>${words.library.delete}</button>`}
    </p>
    ${problem.value && html`<${Failure} problem=${problem.value} />`}
    ${moves.value &&
    html`<${Move} n=${1} close=${() => (moves.value = false)}
      submit=${(collection) => ((moves.value = false), tried(() => call("PATCH", `/v1/documents/${document.id}`, { body: { collection } }))())} />`}
    ${asks.value &&
    html`<${Dialog} title=${words.library.deleteTitle(1)} act=${words.library.deleteAct(1)} close=${() => (asks.value = false)}
      submit=${async () => {
        asks.value = false;
        try {
          deleted(await call("DELETE", `/v1/documents/${document.id}`));
        } catch (refusal) {
          problem.value = refusal;
        }
      }}>
      <p>${words.library.deleteWhat(1)}</p>
    <//>`}`;
}

/** What was deleted with it. */
function Receipt({ receipt, name }) {
  return html`<h1 tabindex="-1">${words.about.deleted}</h1>
    <p class="soft"><${Name} text=${name} />, ${words.about.at(receipt.deleted_at)}</p>
    <dl class="receipt">${Object.entries(receipt.counts).map(([what, n]) => html`<dt>${words.about.counts[what] ?? what}</dt><dd>${what === "bytes" ? words.about.bytes(n) : words.library.number(n)}</dd>`)}</dl>`;
}
