/**
 * Text of answers and pages. Offsets of the API count code points; JavaScript counts UTF-16 units, two for an emoji.
 * So text is cut here and nowhere else.
 */

/** The characters `start:end` of a text. */
export const cut = (text, start, end) => text.slice(unitAt(text, start), unitAt(text, end));

/** How many code points a text has. */
export function length(text) {
  let count = 0;
  for (const _ of text) count += 1;
  return count;
}

/** The UTF-16 index of a code point's offset. */
export function unitAt(text, offset) {
  if (!/[\ud800-\udbff]/.test(text)) return Math.min(offset, text.length);
  let unit = 0;
  for (let left = offset; left > 0 && unit < text.length; left -= 1) unit += text.codePointAt(unit) > 0xffff ? 2 : 1;
  return unit;
}

const FENCE = /^\s*```/;
const HEADING = /^\s*#{1,6}\s+/;
const BULLET = /^\s*[-*•]\s+/;
const NUMBER = /^\s*(\d{1,3})[.)]\s+/;

/**
 * An answer as blocks: `{kind: "p" | "h" | "ul" | "ol" | "pre", lines: Segment[][]}`.
 *
 * A segment is `{text, strong, code, bare}` or `{marker}`; `bare` is the number of the unsupported sentence that it is
 * part of. `markers`: the numbers that are footnotes. `unsupported`: ranges of code points.
 */
export function blocks(text, markers, unsupported = []) {
  const bare = unsupported.map((each) => [unitAt(text, each.char_start), unitAt(text, each.char_end)]);
  const found = [];
  let at = 0;
  let fenced = null;
  for (const line of text.split("\n")) {
    const start = at;
    at += line.length + 1;
    if (FENCE.test(line)) {
      fenced = fenced ? null : block(found, "pre");
    } else if (fenced) {
      fenced.lines.push([{ text: line, code: true }]);
    } else if (line.trim()) {
      const [kind, mark] = kindOf(line);
      const last = found.at(-1);
      const into = last?.kind === kind && !last.closed && kind !== "h" ? last : block(found, kind);
      if (kind === "ol" && !into.lines.length) into.start = Number(NUMBER.exec(line)[1]);
      into.lines.push(segments(line.slice(mark), start + mark, markers, bare));
    } else if (found.length) {
      found.at(-1).closed = found.at(-1).kind === "p";
    }
  }
  return found;
}

function block(found, kind) {
  const made = { kind, lines: [] };
  found.push(made);
  return made;
}

function kindOf(line) {
  for (const [pattern, kind] of [[HEADING, "h"], [BULLET, "ul"], [NUMBER, "ol"]]) {
    const mark = pattern.exec(line);
    if (mark) return [kind, mark[0].length];
  }
  return ["p", 0];
}

const INLINE = /(?<code>`[^`\n]+`)|(?<strong>\*\*[^*\n]+\*\*)|(?<marks>(?:[ \u00a0]?\[\d{1,3}\])+)(?<stop>[.,;:!?…]*)/g;

/** The pieces of a line. A numeral stands behind the punctuation that its marker stood before. */
function segments(line, offset, markers, bare) {
  const found = [];
  const push = (text, at, style) => found.push(...divided(text, offset + at, bare, style));
  let end = 0;
  for (const match of line.matchAll(INLINE)) {
    const { code, strong, marks, stop } = match.groups;
    const numbers = (marks?.match(/\d+/g) ?? []).map(Number);
    if (marks && !numbers.every((each) => markers.has(each))) continue;
    push(line.slice(end, match.index), end, {});
    if (code) push(code.slice(1, -1), match.index + 1, { code: true });
    if (strong) push(strong.slice(2, -2), match.index + 2, { strong: true });
    if (marks) {
      push(stop, match.index + marks.length, {});
      found.push(...numbers.map((marker) => ({ marker })));
    }
    end = match.index + match[0].length;
  }
  push(line.slice(end), end, {});
  return found;
}

/** A text at a place, divided where an unsupported sentence begins or ends. */
function divided(text, start, bare, style) {
  const found = [];
  let from = 0;
  while (from < text.length) {
    const at = start + from;
    const within = bare.findIndex(([begin, end]) => begin <= at && at < end);
    const next = bare.flat().filter((each) => each > at && each < start + text.length);
    const to = next.length ? Math.min(...next) - start : text.length;
    found.push({ text: text.slice(from, to), ...style, ...(within >= 0 && { bare: within }) });
    from = to;
  }
  return found;
}

/** Of a text that still grows: as far as whole words go. */
export function wholeWords(text) {
  const end = Math.max(text.lastIndexOf(" "), text.lastIndexOf("\n"));
  const begun = text.lastIndexOf("[");
  const whole = begun > text.lastIndexOf("]") ? Math.min(begun, end) : end;
  return text.slice(0, Math.max(0, whole)).trimEnd();
}

/** Where a quote stands, for people: its page, or the headings above it where pages have no pictures. */
export function placeIn({ heading, highlights_url: picture, page_start: page }, pageWord) {
  if (picture || !heading) return pageWord(page);
  const path = heading.replaceAll(" > ", " › ");
  return page > 1 ? `${pageWord(page)}, ${path}` : path;
}

/** An answer with its footnotes as Markdown. `address`: where people see a footnote. */
export function markdown(answer, words, address) {
  const markers = new Set(answer.citations.map((each) => each.marker));
  const body = answer.text.replace(/\s?\[(\d{1,3})\]/g, (whole, n) => (markers.has(Number(n)) ? `[^${n}]` : whole));
  const notes = answer.citations.map((each) => {
    const doubt = each.verified ? "" : ` (${words.notVerified})`;
    const quote = each.quote.replace(/\s+/g, " ");
    return `[^${each.marker}]: ${each.filename}, ${placeIn(each, words.page)}: “${quote}”${doubt} <${address(each)}>`;
  });
  return `${answer.question}\n\n${body}\n\n${notes.join("\n")}\n`;
}

const ESCAPES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

/** The same as HTML, for the clipboard only: the page itself makes no HTML of text. */
export function markup(text) {
  const escaped = text.replace(/[&<>"]/g, (each) => ESCAPES[each]);
  return escaped
    .split(/\n{2,}/)
    .map((each) => `<p>${each.replaceAll("\n", "<br>")}</p>`)
    .join("\n");
}
