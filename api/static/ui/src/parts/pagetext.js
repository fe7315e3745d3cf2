/** The stored text of a page as it is built, with the quotes marked. For formats without pictures this is the view. */

import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../../vendor/preact.js";
import { text as textOf } from "../pages.js";
import { inline, structured } from "../structure.js";
import { unitAt } from "../text.js";
import { words } from "../words.js";
import { Numeral, apart } from "./numeral.js";
import { Name } from "./state.js";

const DEEPEST = 6;
const LEAST_GAP = 20; // pixels between two numerals in the margin

/** `isOwn`: the page is a screen of its own, so that its title is the first heading. */
export function PageText({ place, type, first, marks, isOwn }) {
  const bed = useRef();
  const [shown, setShown] = useState(first);
  useEffect(() => setShown(first), [first]);
  const chosen = marks.find((each) => each.on);
  useLayoutEffect(() => {
    bed.current.querySelector("mark.on")?.scrollIntoView({ block: "center", inline: "nearest" });
  }, [chosen?.n, first]);
  const more = async () => {
    const [from, to] = chosen ? [chosen.from, chosen.to] : [0, 0];
    const reach = 4 * Math.max(shown.char_end - to, from - shown.char_start);
    setShown(await textOf(place.id, place.page, place.version, Math.max(0, from - reach), to + reach));
  };
  const blocks = useMemo(() => structured(shown.text, type, titlesIn(shown)), [shown, type]);
  const within = useMemo(() => inUnits(shown, marks), [shown, marks]);
  const numerals = useBeside(bed, within);
  const sheet = isSheet(type) && shown.outline?.[0]?.headings[0];
  const isWide = blocks.some((each) => each.kind === "table");
  return html`<div class="bed" ref=${bed} tabindex="0" role="region" aria-label=${words.page.region(place.page)}>
    <div class=${`plainleaf${isWide ? " wideleaf" : ""}`}>
      ${numerals.map(({ n, on, verified, top }) => html`<${Numeral} n=${n} on=${on} verified=${verified} top=${`${top}px`} />`)}
      ${sheet && html`<p class="sc"><${Name} text=${sheet} /></p>`}
      ${shown.char_start > 0 && shown.outline?.[0]?.char_start < shown.char_start && html`<p class="soft small"><${Name} text=${shown.outline[0].headings.join(" › ")} /></p>`}
      ${shown.char_start > 0 && html`<button type="button" class="plain" onClick=${more}>${words.page.earlier}</button>`}
      <div class="pagetext" dir="auto">
        ${shown.text ? html`<${Blocks} text=${shown.text} type=${type} blocks=${blocks} marks=${within} above=${isOwn ? 1 : 2} />` : html`<p class="soft">${words.page.empty}</p>`}
      </div>
      ${shown.char_end < shown.characters && html`<button type="button" class="plain" onClick=${more}>${words.page.later}</button>`}
    </div>
  </div>`;
}

export const isSheet = (type) => /spreadsheet|ms-excel/.test(type);

/** The marks with the place of their first lines, in pixels from the top of the leaf. */
function useBeside(bed, marks) {
  const [placed, setPlaced] = useState([]);
  useLayoutEffect(() => {
    const leaf = bed.current.querySelector(".plainleaf");
    const place = () => {
      const from = leaf.getBoundingClientRect().top;
      const middle = ({ n }) => {
        const line = leaf.querySelector(n ? `mark[data-n~="${n}"]` : "mark.on")?.getClientRects()[0];
        return line && (line.top + line.bottom) / 2 - from;
      };
      const found = marks.map((each) => ({ ...each, top: middle(each) }));
      setPlaced(apart(found.filter((each) => each.top !== undefined), LEAST_GAP));
    };
    const watcher = new ResizeObserver(place);
    watcher.observe(leaf);
    return () => watcher.disconnect();
  }, [marks]);
  return placed;
}

/** Titles of the sections that begin in what is shown, by their place in UTF-16 units. */
function titlesIn({ text, char_start: start, outline = [] }) {
  const begun = outline.filter((each) => each.char_start >= start);
  return new Map(begun.map((each) => [unitAt(text, each.char_start - start), { level: each.headings.length, title: each.headings.at(-1) }]));
}

/** The offsets of the API count code points; here they become places in the text that is shown. */
function inUnits({ text, char_start: start, char_end: end }, marks) {
  return marks
    .filter((each) => each.from < end && each.to > start)
    .map((each) => ({ n: each.n, verified: each.verified, on: each.on, from: unitAt(text, Math.max(0, each.from - start)), to: unitAt(text, each.to - start) }));
}

function Blocks({ text, type, blocks, marks, above }) {
  let depth = 0;
  return blocks.map((block) => {
    if (block.kind === "h") depth = Math.min(block.level, depth + 1);
    const line = (range) => inline(text, range, type).map((piece) => styled(piece, marked(text, piece, marks)));
    return html`<${Block} block=${block} line=${line} level=${Math.min(DEEPEST, above + depth)} />`;
  });
}

function styled({ style }, pieces) {
  if (style === "strong") return html`<strong>${pieces}</strong>`;
  if (style === "em") return html`<em>${pieces}</em>`;
  return style === "code" ? html`<code>${pieces}</code>` : pieces;
}

function Block({ block, line, level }) {
  const { kind, rows } = block;
  if (kind === "table") return html`<${Table} block=${block} line=${line} />`;
  if (kind === "h") {
    const Title = `h${level}`;
    return html`<${Title} data-level=${block.level} dir="auto">${line(rows[0])}<//>`;
  }
  if (kind === "pre") return html`<pre>${rows.map((each) => [line(each), "\n"])}</pre>`;
  if (kind === "list") {
    return html`<ul>${rows.map((each) => html`<li data-depth=${each.depth} data-mark=${each.mark} dir="auto">${line(each)}</li>`)}</ul>`;
  }
  if (kind === "labels") {
    return html`<dl>${rows.map((each) => html`<div><dt>${line(each.label)}</dt><dd dir="auto">${line(each)}</dd></div>`)}</dl>`;
  }
  const joined = rows.flatMap((each, index) => (index ? [block.flows ? " " : html`<br />`, line(each)] : [line(each)]));
  return kind === "quote" ? html`<blockquote dir="auto">${joined}</blockquote>` : html`<p dir="auto">${joined}</p>`;
}

function Table({ block, line }) {
  const width = Math.max(block.head?.length ?? 0, ...block.rows.map((each) => each.cells.length));
  const cell = (each) => each && (each.name !== undefined ? html`<${Name} text=${each.name} />` : line(each));
  return html`<table>
    ${block.head && html`<thead><tr>${block.head.map((each) => html`<th scope="col">${cell(each)}</th>`)}</tr></thead>`}
    <tbody>
      ${block.rows.map(({ cells, apart }) =>
        apart
          ? html`<tr><td colspan=${width}>${cells.map((each, index) => [index ? " | " : "", cell(each)])}</td></tr>`
          : html`<tr>${cells.map((each) => html`<td>${cell(each)}</td>`)}</tr>`,
      )}
    </tbody>
  </table>`;
}

/** A piece of the text, divided where a quote begins or ends. Where several overlap, the chosen one counts. */
function marked(text, { from, to }, marks) {
  const inside = marks.filter((each) => each.from < to && each.to > from);
  if (!inside.length) return text.slice(from, to);
  const edges = [from, to, ...inside.flatMap((each) => [each.from, each.to])];
  const cuts = [...new Set(edges)].filter((each) => each >= from && each <= to).sort((one, other) => one - other);
  return cuts.slice(1).map((end, index) => {
    const piece = text.slice(cuts[index], end);
    const over = inside.filter((each) => each.from <= cuts[index] && each.to >= end);
    return over.length ? html`<mark class=${over.some((each) => each.on) ? "on" : ""} data-n=${over.map((each) => each.n).join(" ")}>${piece}</mark>` : piece;
  });
}
