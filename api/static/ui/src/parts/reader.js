/** A page of a document as its picture or its text, with the lines of quotes lit. */

import { html, signal, useEffect, useLayoutEffect, useRef, useState } from "../../vendor/preact.js";
import { about, boxes, fetchAhead, now, picture, text } from "../pages.js";
import { words } from "../words.js";
import { Numeral, apart } from "./numeral.js";
import { PageText, isSheet } from "./pagetext.js";
import { Failure, Waiting } from "./state.js";

/** Whether people want to see pictures, where there are some. */
export const wantsText = signal(false);
/** What keys do to the page that is shown: `{turn(by)}`; null without one. */
export const open = { current: null };

const ZOOMS = [1, 1.4, 2, 3];

/**
 * `marks`: quotes of this document, `{n, page, from, to, verified, on}`; the one that is `on` was chosen.
 * `drawn`: whether its pages have pictures; undefined: not known. `turn(page)` and `close()` are the caller's.
 */
export function Reader({ id, filename, version, page, marks, drawn, turn, close, choose }) {
  const chosen = marks.find((each) => each.on);
  const facts = useAsked(() => text(id, page, version, chosen?.page === page ? chosen.from : 0, chosen?.page === page ? chosen.to : 0), [id, page, version, chosen?.n]);
  const known = useAsked(() => about(id), [id]);
  const [zoom, setZoom] = useState(0);
  const hasPictures = drawn ?? known.value?.media_type === "application/pdf";
  const pages = facts.value?.pages;
  open.current = { turn: (by) => pages && page + by >= 1 && page + by <= pages && turn(page + by) };
  useEffect(() => () => (open.current = null), []);
  const asText = wantsText.value || !hasPictures;
  const problem = facts.problem;
  const place = { id, page, version: version ?? facts.value?.version, name: filename ?? known.value?.filename ?? "" };
  const here = marks.filter((each) => each.page === page);
  return html`<section class="reader" aria-label=${words.page.label}>
    <${Head} place=${place} type=${known.value?.media_type} pages=${pages} turn=${turn} close=${close} hasPictures=${hasPictures} zoom=${zoom} setZoom=${setZoom} />
    ${problem && html`<${Refused} problem=${problem} id=${id} version=${version} />`}
    ${!problem && !asText && html`<${Picture} place=${place} marks=${here} zoom=${ZOOMS[zoom]} pages=${pages} choose=${choose} />`}
    ${!problem && asText && facts.value && known.value && html`<${PageText} place=${place} type=${known.value.media_type} first=${facts.value} marks=${here} isOwn=${!close} />`}
    ${!problem && asText && !(facts.value && known.value) && html`<div class="bed"><${Waiting} /></div>`}
    ${chosen?.page === page && !problem && html`<${Slip} mark=${chosen} place=${place} isPage=${hasPictures || pages > 1} />`}
  </section>`;
}

/** `{value, problem}` of something that is asked for again when what it depends on changes. */
function useAsked(ask, on) {
  const [answer, setAnswer] = useState({ on: null });
  const wish = JSON.stringify(on);
  useEffect(() => {
    let wanted = true;
    ask().then(
      (value) => wanted && setAnswer({ on: wish, value }),
      (problem) => wanted && setAnswer({ on: wish, problem }),
    );
    return () => (wanted = false);
  }, [wish]);
  return answer.on === wish ? answer : {};
}

function Head({ place, type, pages, turn, close, hasPictures, zoom, setZoom }) {
  const { page } = place;
  const Title = close ? "h2" : "h1";
  const view = (isText, label) =>
    html`<button type="button" class="plain" aria-pressed=${wantsText.value === isText} onClick=${() => (wantsText.value = isText)}>
      ${label}
    </button>`;
  const zooms = !wantsText.value && hasPictures;
  return html`<div class="run">
    ${!close && html`<span class="wide" aria-hidden="true">←</span>`}
    <${Title}><a href=${close ? `/d/${place.id}/p/${page}` : `/d/${place.id}`} dir="auto">${place.name}</a><//>
    ${pages > 1 && html`<span class="where">${isSheet(type) ? words.page.sheet(page) : words.page.number(page)}<span class="wide">${words.page.ofAll(pages)}</span></span>`}
    <span class="tools">
      ${zooms && html`<button type="button" class="plain wide" aria-label=${words.page.smaller} disabled=${zoom === 0} onClick=${() => setZoom(zoom - 1)}>−</button>`}
      ${zooms && html`<button type="button" class="plain wide" aria-label=${words.page.larger} disabled=${zoom === ZOOMS.length - 1} onClick=${() => setZoom(zoom + 1)}>+</button>`}
      ${pages > 1 &&
      html`<button type="button" class="plain" aria-label=${words.page.before} disabled=${page <= 1} onClick=${() => turn(page - 1)}>←</button>
        <button type="button" class="plain" aria-label=${words.page.after} disabled=${page >= pages} onClick=${() => turn(page + 1)}>→</button>`}
      ${hasPictures && [view(false, words.page.picture), view(true, words.page.text)]}
      ${close && html`<button type="button" class="plain" aria-label=${words.close} onClick=${close}>×</button>`}
    </span>
  </div>`;
}

function Picture({ place, marks, zoom, pages, choose }) {
  const bed = useRef();
  const [width, setWidth] = useState(0);
  const [shape, setShape] = useState(null);
  const [found, setFound] = useState({});
  const [seen, setSeen] = useState("");
  const [lost, setLost] = useState(false);
  useLayoutEffect(() => {
    const style = getComputedStyle(bed.current);
    setWidth(bed.current.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight));
  }, []);
  const { id, page, version, name } = place;
  useEffect(() => setLost(false), [id, page, version]);
  const wanted = marks.map((each) => `${each.from}-${each.to}`).join();
  useEffect(() => {
    let current = true;
    for (const each of marks) {
      boxes(id, page, version, each.from, each.to).then(
        (made) => current && setFound((before) => ({ ...before, [keyOf(place, each)]: made })),
        () => current && setFound((before) => ({ ...before, [keyOf(place, each)]: [] })),
      );
    }
    return () => (current = false);
  }, [id, page, version, wanted]);
  const chosen = marks.find((each) => each.on);
  const lines = chosen && found[keyOf(place, chosen)];
  const address = width > 0 && version ? picture(id, page, version, width * zoom) : null;
  useEffect(() => {
    if (address) for (const each of [page + 1, page - 1]) if (each >= 1 && each <= pages) fetchAhead(picture(id, each, version, width * zoom));
  }, [address, pages]);
  useLayoutEffect(() => {
    if (lines?.length && bed.current) {
      const leaf = bed.current.firstElementChild;
      bed.current.scrollTop = leaf.offsetTop + lines[0][1] * leaf.offsetHeight - bed.current.clientHeight / 3;
    }
  }, [lines, address, shape, zoom]);
  return html`<div class="bed" ref=${bed} tabindex="0" role="region" aria-label=${words.page.region(page)}>
    <div class="leaf" style=${{ aspectRatio: shape ?? "1 / 1.414", width: `${100 * zoom}%` }}>
      ${address && !lost &&
      html`<img key=${address} src=${address} alt=${words.page.alt(page, name)} onError=${() => setLost(true)}
        onLoad=${({ target }) => (setSeen(address), setShape(`${target.naturalWidth} / ${target.naturalHeight}`))} />`}
      ${seen !== address && !lost && html`<div class="lost"><${Waiting} key=${address} /></div>`}
      ${lost && html`<p class="lost">${words.page.noPicture}</p>`}
      ${doubtedFirst(marks).map((each) => html`<${Mark} key=${each.n} mark=${each} lines=${found[keyOf(place, each)] ?? []} choose=${choose} />`)}
      ${numerals(marks, (each) => found[keyOf(place, each)]).map(({ mark, top }) => html`<${Numeral} ...${mark} top=${`${100 * top}%`} />`)}
    </div>
    ${lines?.length === 0 && html`<p class="nowhere" role="status">${words.page.noBoxes} <button type="button" class="plain" onClick=${() => (wantsText.value = true)}>${words.page.text}</button></p>`}
  </div>`;
}

const keyOf = (place, mark) => `${place.id} ${place.version} ${place.page} ${mark.from}-${mark.to}`;

/** The passage that stands for words that were not found may cover the whole page: it lies below the quotes. */
const doubtedFirst = (marks) => [...marks].sort((one, other) => (one.verified === false ? 0 : 1) - (other.verified === false ? 0 : 1));

/** The lines of a quote. The whole is a link to the footnote; its name tells what a picture cannot. */
function Mark({ mark, lines, choose }) {
  const style = ([left, top, right, bottom]) => ({
    left: `${100 * left}%`,
    top: `${100 * top}%`,
    width: `${100 * (right - left)}%`,
    height: `${100 * (bottom - top)}%`,
  });
  if (!lines.length) return null;
  const drawn = lines.map((each) => html`<i style=${style(each)}></i>`);
  const name = `hl${mark.on ? " on" : ""}${mark.verified === false ? " doubt" : ""}`;
  if (!choose) return html`<span class=${name} data-n=${mark.n}>${drawn}</span>`;
  return html`<button type="button" class=${name} data-n=${mark.n} aria-label=${words.page.here(mark.n)} onClick=${() => choose(mark.n)}>${drawn}</button>`;
}

const LEAST_GAP = 0.026; // of the page's height between two numerals in the margin

/** The marks with the places of their numerals. */
function numerals(marks, linesOf) {
  const found = marks.filter((each) => linesOf(each)?.length);
  return apart(found.map((mark) => ({ mark, top: (linesOf(mark)[0][1] + linesOf(mark)[0][3]) / 2 })), LEAST_GAP);
}

/** `isPage`: else the document is one text, of which no one knows that it is page 1. */
function Slip({ mark, place, isPage }) {
  const { page, version } = place;
  const where = isPage ? words.page.ofPage(page) : words.page.ofText;
  const tell = mark.verified === undefined ? words.page.chosen : words.page.verified;
  const doubt = isPage ? words.page.doubtful(where, version) : words.page.doubtfulText(version);
  const told = mark.verified === false ? doubt : tell(mark.from, mark.to, where, version);
  return html`<p class="slip"><b class=${mark.verified === false ? "doubtful" : ""}>${mark.verified === false ? `†${mark.n}` : mark.n}</b> ${told}</p>`;
}

/** A replaced version is never shown as if it were the one that was cited. */
function Refused({ problem, id, version }) {
  const found = useAsked(() => now(id), [id, problem.code]);
  if (problem.code === "version_replaced") {
    const newest = found.value?.version;
    return html`<div class="bed refused">
      <p>${words.page.replaced(version)}</p>
      ${newest && html`<p><a class="act" href=${`/d/${id}/p/1?v=${newest}`}>${words.page.openNewest(newest)}</a></p>`}
    </div>`;
  }
  if (problem.code === "document_not_found") return html`<div class="bed refused"><p>${words.page.gone}</p></div>`;
  return html`<div class="bed refused"><${Failure} problem=${problem} /></div>`;
}
