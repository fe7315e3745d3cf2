/** Questions and answers, with the page of the chosen footnote beside them. */

import { html, useEffect, useLayoutEffect, useRef, useState } from "../../vendor/preact.js";
import { get, may } from "../api.js";
import { at } from "../router.js";
import { counts } from "../live.js";
import * as pages from "../pages.js";
import { answers, ask, choose, chosen, conversations, earlier, failure, isLoaded, list, lit, loadAgain, loadEarlier, place, show, shown, told, unchoose } from "../conversation.js";
import { documents, files, unfinished } from "../uploads.js";
import { words } from "../words.js";
import { Answer } from "../parts/answer.js";
import { Sidebar, Ways } from "../parts/sidebar.js";
import { Field } from "../parts/field.js";
import { Left } from "../parts/drop.js";
import { Choose, Reading } from "../parts/files.js";
import { escape } from "../keys.js";
import { Reader } from "../parts/reader.js";
import { Failure, Waiting } from "../parts/state.js";

export function Ask() {
  useEffect(() => {
    show(at.value);
  }, [at.value]);
  const newest = answers.value.at(-1);
  useEffect(() => {
    if (newest?.phase === "done") {
      list().catch(() => {});
      prepare(newest);
    }
  }, [newest?.key, newest?.phase]);
  useEffect(() => {
    document.title = newest ? `${newest.question} · ${words.name}` : words.name;
  }, [newest?.question]);
  const isNew = !at.value.conversation && !answers.value.length;
  const isLone = isNew && !conversations.value?.length;
  return html`<div class=${`desk${shown.value ? " reading" : ""}${isLone ? " lone" : ""}`}>
    <${Sidebar} withFiles=${!isNew} />
    <main id="main">
      <${Ways} />
      ${isNew ? html`<${Begin} />` : html`<${Talk} />`}
      <p class="vh" role="status">${told.value}</p>
      ${(documents.value > 0 || !isNew) && html`<${Field} />`}
    </main>
    ${shown.value && html`<${Opened} ...${shown.value} />`}
  </div>`;
}

/** Has the pages of an answer at hand before they are opened. */
function prepare(answer) {
  const width = Math.min(586, innerWidth) - 90;
  for (const each of answer.citations.slice(0, 8)) {
    const { document_id: id, page_start: page, version } = each;
    pages.about(id).catch(() => {});
    pages.text(id, page, version, each.char_start, each.char_end).catch(() => {});
    if (each.highlights_url) {
      pages.boxes(id, page, version, each.char_start, each.char_end).catch(() => {});
      pages.fetchAhead(pages.picture(id, page, version, width));
    }
  }
}

function Talk() {
  const bed = useRef();
  const [opened, setOpened] = useState(null);
  const count = answers.value.length;
  const [first, newest] = [answers.value[0]?.key, answers.value.at(-1)?.key];
  // A new question comes to the top; what is read is never scrolled away by what is written below it.
  useLayoutEffect(() => {
    const last = bed.current?.querySelector("article:last-of-type");
    if (last && count > 1) bed.current.scrollTop = last.offsetTop - bed.current.offsetTop;
  }, [newest]);
  // Nor by earlier questions that come above it.
  const height = useRef(0);
  useLayoutEffect(() => {
    const grown = (bed.current?.scrollHeight ?? 0) - height.current;
    if (height.current && grown > 0) bed.current.scrollTop += grown;
    height.current = 0;
  }, [first]);
  const more = () => {
    height.current = bed.current.scrollHeight;
    return loadEarlier();
  };
  if (failure.value) return html`<div class="talk"><article><${Failure} problem=${failure.value} again=${loadAgain} /></article></div>`;
  if (!count) {
    const nothing = isLoaded.value ? html`<h1 class="q" tabindex="-1">${words.answer.nothing}</h1>` : html`<${Waiting} />`;
    return html`<div class="talk"><article>${nothing}</article></div>`;
  }
  const listOf = (key) => ({ open: opened === key, toggle: () => setOpened(opened === key ? null : key) });
  return html`<div class="talk" ref=${bed} tabindex="0" role="region" aria-label=${words.conversation}>
    ${earlier.value && html`<p class="earlier"><button type="button" class="plain" onClick=${more}>${words.earlier}</button></p>`}
    ${answers.value.map((each, index) => html`<${Answer} key=${each.key} answer=${each} first=${index === 0} list=${listOf(each.key)} />`)}
  </div>`;
}

/** The chosen footnote's page, or another page of its document that was turned to. */
function Opened({ answer, citation }) {
  const [turned, setTurned] = useState({ of: null, page: 0 });
  const of = `${answer.key} ${citation.marker}`;
  const page = turned.of === of ? turned.page : citation.page_start;
  const over = answer.citations.find((each) => lit.value?.answer === answer.key && each.marker === lit.value.n);
  const isSeen = over?.document_id === citation.document_id && over.page_start === page;
  const on = isSeen ? over.marker : citation.marker;
  const marks = answer.citations
    .filter((each) => each.document_id === citation.document_id && each.version === citation.version)
    .map((each) => ({
      n: each.marker,
      page: each.page_start,
      from: each.char_start,
      to: each.char_end,
      verified: each.verified,
      on: each.marker === on,
    }));
  return html`<${Reader}
    id=${citation.document_id}
    filename=${citation.filename}
    version=${citation.version}
    page=${page}
    marks=${marks}
    drawn=${Boolean(citation.highlights_url)}
    turn=${(to) => setTurned({ of, page: to })}
    close=${chosen.value ? escape : unchoose}
    choose=${(n) => choose(answer, n)}
  />`;
}

/** Before the first question: files to add, and examples of what can be asked. */
function Begin() {
  const empty = documents.value === 0;
  if (documents.value === null) return html`<div class="begin"><${Waiting} /></div>`;
  if (empty) return html`<div class="begin"><${Empty} /></div>`;
  return html`<div class="begin">
    <div>
      <h1 tabindex="-1">${words.begin.title}</h1>
      ${counts.value && html`<p class="lead">${words.begin.lead(documents.value)}</p>`}
      <${Examples} />
      <${Left} />
      <${Reading} most=${4} />
      <p><${Choose} look="plain add" /></p>
    </div>
  </div>`;
}

/** An empty library is one sentence and a place to drop files. */
function Empty() {
  const begun = files.value.length > 0;
  const soon = unfinished.value.length > 0;
  return html`<div class="zone">
    <h1 tabindex="-1">${soon ? words.first.soon : words.first.title}</h1>
    <p class="lead">${soon ? words.first.soonLead : may("write") ? words.first.lead : words.first.noWrite}</p>
    ${begun ? html`<${Reading} />` : may("write") && html`<p class="soft">${words.first.formats}</p>`}
    <p><${Choose} look=${soon ? "plain add" : "act"} /></p>
  </div>`;
}

/** Questions about headings of the newest document, which no model makes. */
function Examples() {
  const [headings, setHeadings] = useState([]);
  useEffect(() => {
    suggested().then(setHeadings, () => {});
  }, [documents.value > 0, place.value]);
  if (!headings.length || !may("read")) return null;
  return html`<h2 class="sc">${words.begin.suggested}</h2>
    <ul class="examples">
      ${headings.map((each) => html`<li><button type="button" class="plain" dir="auto" onClick=${() => ask(words.begin.about(each))}>${words.begin.about(each)}</button></li>`)}
    </ul>`;
}

/** Headings of the collection that is searched, or of that of the newest document. */
async function suggested() {
  const collection = place.value || (await get("/v1/documents?limit=1&status=ready")).data[0]?.collection;
  if (!collection) return [];
  return (await get(`/v1/collections/${encodeURIComponent(collection)}/suggestions`)).data.map((each) => each.heading);
}
