/** The notes at the foot of an answer, and passages in the same form. */

import { html } from "../../vendor/preact.js";
import { choose, hovered, lit, noteAddress } from "../conversation.js";
import { placeIn } from "../text.js";
import { words } from "../words.js";
import { Name } from "./state.js";

export function Footnotes({ answer }) {
  if (!answer.citations.length) return null;
  const notes = [...answer.citations].sort((one, other) => one.marker - other.marker);
  return html`<ol class="foot" aria-label=${words.note.list}>
    ${notes.map((each, index) => html`<${Note} key=${each.marker} answer=${answer} citation=${each} before=${notes[index - 1]} />`)}
  </ol>`;
}

function Note({ answer, citation, before }) {
  const n = citation.marker;
  const isLit = lit.value?.answer === answer.key && lit.value.n === n;
  return html`<li
    class=${`${citation.verified ? "" : "doubt"}${isLit ? " on" : ""}`}
    data-n=${n}
    onMouseEnter=${() => (hovered.value = { answer: answer.key, n })}
    onMouseLeave=${() => (hovered.value = null)}
  >
    <a class="n" href=${`#r${answer.key}-${n}`} aria-label=${words.note.back(n)} onClick=${(event) => back(event, answer, n)}
      >${citation.verified ? n : `†${n}`}</a
    >
    <a class="open" href=${noteAddress(answer, n)} onClick=${(event) => follow(event, answer, n)}>
      <span class="src">
        ${before?.document_id === citation.document_id && before.version === citation.version
          ? words.note.same
          : html`<${Name} text=${citation.filename} />`}${","}
      </span>
      ${" "}${placeOf(citation)}${citation.verified ? ": " : ". "}
      ${!citation.verified && html`<span class="why">${words.note.notOnPage} </span>`}
      <q dir="auto">${flowing(citation.quote)}</q>
    </a>
  </li>`;
}

/** A click with a modifier opens the address in another tab, as for any link. */
export function follow(event, answer, n) {
  if (event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  choose(answer, n);
}

function back(event, answer, n) {
  event.preventDefault();
  document.getElementById(`r${answer.key}-${n}`)?.focus();
}

/** The page, or in a format without pictures of pages the headings above the quote. */
const placeOf = (citation) => html`<${Name} text=${placeIn(citation, words.note.page)} />`;

/** The line breaks of a page are not those of a note, nor is the mark of an item of a list. */
const flowing = (text) => text.replace(/^\s*[-*•]\s+/, "").replace(/\s+/g, " ").trim();

const LONGEST = 240;

export function Passages({ passages }) {
  return html`<ol class="foot plain" aria-label=${words.passages.title}>
    ${passages.map(
      (each) => html`<li>
        <a class="open" href=${addressOf(each)}>
          <span class="src"><${Name} text=${each.filename} />,</span> ${words.note.page(each.page_start)}${each.text || each.heading ? ": " : ""}
          ${each.text ? html`<q dir="auto">${shortened(flowing(each.text))}</q>` : html`<${Name} text=${each.heading} />`}
        </a>
      </li>`,
    )}
  </ol>`;
}

const addressOf = (each) =>
  `/d/${each.document_id}/p/${each.page_start}?v=${each.version}&from=${each.char_start}&to=${each.char_end}`;

const shortened = (text) => (text.length > LONGEST ? `${text.slice(0, text.lastIndexOf(" ", LONGEST))} …` : text);
