/** An answer: its text with numerals, what was searched, and what can be done with it. */

import { html, useState } from "../../vendor/preact.js";
import { askAgain, chosen, hovered, lit, noteAddress, place } from "../conversation.js";
import { blocks, markdown, markup } from "../text.js";
import { words } from "../words.js";
import { Footnotes, Passages, follow } from "./footnotes.js";
import { Failure, Said, Waiting } from "./state.js";

export function Answer({ answer, first, list }) {
  const Title = first ? "h1" : "h2";
  return html`<article aria-labelledby=${`q${answer.key}`} data-phase=${answer.phase}>
    <${Title} class="q" id=${`q${answer.key}`} tabindex="-1" dir="auto">${answer.question}<//>
    <${Looked} answer=${answer} />
    <${Body} answer=${answer} level=${first ? "h2" : "h3"} />
    <${Footnotes} answer=${answer} />
    <${Doubts} answer=${answer} />
    <${Ending} answer=${answer} />
    ${answer.phase === "done" && !/removed|not_found/.test(answer.status) && html`<${Summary} answer=${answer} list=${list} level=${first ? "h2" : "h3"} />`}
  </article>`;
}

function Body({ answer, level }) {
  if (answer.phase === "asked") return html`<${Waiting} text=${words.answer.searching} />`;
  if (answer.phase === "reading") {
    const documents = new Set(answer.passages.map((each) => each.document_id)).size;
    return html`<p class="soft waiting">${words.answer.found(answer.sources, documents)} …</p>`;
  }
  if (answer.status === "not_found") return html`<${NotFound} answer=${answer} />`;
  if (answer.status === "removed") return html`<p class="lead">${words.answer.removed}</p>`;
  return html`<div class="a" dir="auto"><${Blocks} answer=${answer} level=${level} /></div>`;
}

/** What was looked for where that is not the question as it was typed. */
function Looked({ answer }) {
  const told = [
    ...(answer.rewritten ? [words.answer.searchedFor(answer.rewritten)] : []),
    ...(answer.parts.length > 1 ? [words.answer.parts(answer.parts)] : []),
    ...answer.corrected.map((each) => words.answer.corrected(each.word, each.searched)),
  ];
  return told.map((each) => html`<p class="meta searched"><bdi>${each}</bdi></p>`);
}

function NotFound({ answer }) {
  const searched = answer.searched;
  return html`<div class="absent">
    <p class="lead">${words.answer.notFound} ${answer.notMentioned.length > 0 && html`<${Said} text=${words.answer.notMentioned(answer.notMentioned)} />`}</p>
    ${searched && html`<p>${searched.documents ? words.answer.searched(searched.documents) : words.answer.searchedNone}
      ${" "}${searched.unfinished > 0 && html`<span class="doubtful">${words.answer.unfinished(searched.unfinished)}</span>`}</p>`}
    ${searched?.collections?.length > 0 && html`<p class="soft"><bdi>${words.answer.where(searched)}</bdi> ${answer.evidence && words.answer.evidence(answer.evidence)}</p>`}
    ${answer.passages.length > 0 && html`<p>${words.answer.nearest}</p><${Passages} passages=${answer.passages.slice(0, 3)} />`}
    ${place.value &&
    html`<button type="button" class="plain again" onClick=${() => askAgain(answer.key, { collection: "" })}>
      ${words.answer.searchAll}
    </button>`}
  </div>`;
}

/** `level`: the name of a heading that stands below the question. */
function Blocks({ answer, level: Title }) {
  const markers = new Set(answer.citations.map((each) => each.marker));
  return blocks(answer.text, markers, answer.unsupported).map((each) => {
    const lines = each.lines.map((line) => html`<${Line} answer=${answer} line=${line} />`);
    if (each.kind === "ul") return html`<ul>${lines.map((line) => html`<li>${line}</li>`)}</ul>`;
    if (each.kind === "ol") return html`<ol start=${each.start}>${lines.map((line) => html`<li>${line}</li>`)}</ol>`;
    if (each.kind === "h") return html`<${Title}>${lines}<//>`;
    if (each.kind === "pre") return html`<pre>${each.lines.map((line) => `${line[0].text}\n`).join("")}</pre>`;
    return html`<p>${lines.flatMap((line, index) => (index ? [html`<br />`, line] : [line]))}</p>`;
  });
}

/** Segments of one unsupported sentence are one underlined piece, however bold or long they are. */
function Line({ answer, line }) {
  const groups = [];
  for (const each of line) {
    const last = groups.at(-1);
    if (each.bare !== undefined && last?.bare === each.bare) last.segments.push(each);
    else groups.push({ bare: each.bare, segments: [each] });
  }
  return groups.map(({ bare, segments }) => {
    const shown = segments.map((each) => html`<${Segment} answer=${answer} ...${each} />`);
    if (bare === undefined) return shown;
    return html`<span class="bare">${shown}<span class="vh"> (${words.answer.unsupported})</span></span>`;
  });
}

const hasOther = (sentence) => /not_in_quote|quote_denies/.test(sentence.reason);

/** Sentences that have a footnote which says something else: neither the dotted line nor the note tells that. */
function Doubts({ answer }) {
  const found = answer.unsupported.filter(hasOther);
  if (!found.length || answer.phase !== "done") return null;
  return html`<ul class="doubts" aria-label=${words.answer.doubts}>
    ${found.map((each) => html`<li>† <q dir="auto">${each.text.replace(/\s?\[\d{1,3}\]/g, "").trim()}</q> ${each.reason === "quote_denies" ? words.answer.quoteDenies : words.answer.notInQuote(each.missing)}</li>`)}
  </ul>`;
}

function Segment({ answer, text, strong, code, marker }) {
  if (marker !== undefined) return html`<${Numeral} answer=${answer} n=${marker} />`;
  if (strong) return html`<strong>${text}</strong>`;
  return code ? html`<code>${text}</code>` : text;
}

function Numeral({ answer, n }) {
  const citation = answer.citations.find((each) => each.marker === n);
  const mine = { answer: answer.key, n };
  const isLit = lit.value?.answer === answer.key && lit.value.n === n;
  const isChosen = chosen.value?.answer === answer.key && chosen.value.n === n;
  return html`<a
    class=${`ref${citation.verified ? "" : " doubt"}${isLit ? " on" : ""}`}
    id=${`r${answer.key}-${n}`}
    href=${noteAddress(answer, n)}
    aria-label=${citation.verified ? words.note.name(n) : words.note.doubtful(n)}
    aria-current=${isChosen ? "true" : undefined}
    onClick=${(event) => follow(event, answer, n)}
    onMouseEnter=${() => (hovered.value = mine)}
    onMouseLeave=${() => (hovered.value = null)}
    >${citation.verified ? n : `†${n}`}</a
  >`;
}

function Ending({ answer }) {
  if (answer.phase === "failed") {
    return html`<${Failure}
      problem=${answer.problem ?? { message: words.answer.broken, retryAfter: 0 }}
      again=${() => askAgain(answer.key)}
      label=${words.answer.askAgain}
    />`;
  }
  if (answer.phase === "stopped") {
    return html`<p class="meta doubtful">${words.answer.stopped} <${Again} answer=${answer} /></p>`;
  }
  return answer.truncated && html`<p class="meta doubtful">${words.answer.truncated} <${Again} answer=${answer} /></p>`;
}

const Again = ({ answer }) =>
  html`<button type="button" class="plain again" onClick=${() => askAgain(answer.key)}>${words.answer.askAgain}</button>`;

function Summary({ answer, list, level: Title }) {
  const bare = answer.unsupported.filter((each) => !hasOther(each)).length;
  const notes = answer.citations.length;
  const good = answer.citations.filter((each) => each.verified).length;
  const extract = answer.kind ? answer.kind === "extract" : answer.model?.startsWith("extractive");
  const found = answer.passages.length;
  const of = answer.searched?.documents ?? 0;
  return html`<footer class="meta">
    <p>
      ${notes > 0 && (good === notes ? words.summary.all(notes) : words.summary.some(good, notes))}
      ${" "}${bare > 0 && words.summary.bare(bare)}
      ${" "}${notes > 0 && answer.status === "related" && html`<span class="doubtful">${words.summary.related(notes)}</span>`}
      ${" "}${notes > 0 && (extract ? words.answer.verbatim : words.summary.written)}
      ${found > 0 && html`<br /><button type="button" class="plain" aria-expanded=${list.open} onClick=${list.toggle}>${words.summary.passages(found, of)}</button>`}
      ${times(answer, extract)}
    </p>
    ${list.open && found > 0 && html`<${Title} class="sc">${words.passages.title}<//><${Passages} passages=${answer.passages} />`}
    <${Acts} answer=${answer} />
  </footer>`;
}

/** How long it took to find the passages, and who wrote how long. */
function times({ timings, model, cached }, extract) {
  if (!timings.total) return "";
  const parts = [`, ${words.summary.took(extract ? timings.total : timings.retrieve)}`];
  if (cached) parts.push(`; ${words.summary.cached}`);
  else if (!extract && model) parts.push(`; ${words.summary.writer(model, timings.total - timings.retrieve)}`);
  return parts.join("");
}

function Acts({ answer }) {
  const [copied, setCopied] = useState(null);
  const address = (each) => new URL(each.reader_path, location).href;
  const copy = async (what, made) => {
    try {
      await navigator.clipboard.write([new ClipboardItem(made)]);
      setCopied(what);
    } catch {
      setCopied("failed");
    }
    setTimeout(() => setCopied(null), 2000);
  };
  const text = () => markdown(answer, { page: words.note.page, notVerified: words.note.notVerified }, address);
  const whole = () => ({ "text/plain": blob(text(), "plain"), "text/html": blob(markup(text()), "html") });
  const link = () => ({ "text/plain": blob(location.origin + noteAddress(answer, 1).split("#")[0], "plain") });
  const label = (what) => (copied === what ? words.act.copied : words.act[what]);
  return html`<ul class="acts">
    <li><button type="button" class="plain" onClick=${() => copy("copy", whole())}>${label("copy")}</button></li>
    <li><button type="button" class="plain" onClick=${() => copy("link", link())}>${label("link")}</button></li>
    <li><button type="button" class="plain" onClick=${() => print()}>${words.act.print}</button></li>
    ${copied === "failed" && html`<li role="status">${words.act.failed}</li>`}
  </ul>`;
}

const blob = (text, kind) => new Blob([text], { type: `text/${kind}` });
