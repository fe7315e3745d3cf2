/**
 * The stored text of a page as blocks: headings, paragraphs, lists, tables. Nothing of it is changed: each block and
 * cell is a range of the text, so that a quote is marked where it stands. Ranges are UTF-16 units of the text given.
 */

const FENCE = /^\s*(```|~~~)/;
const HASHES = /^(#{1,6})\s+(.*?)\s*#*\s*$/;
const ITEM = /^(\s*)([-*•▪]|\d{1,4}[.)])\s+/;
const QUOTE = /^\s*>\s?/;
const BREAK = /^\s*([-*_])(\s*\1){2,}\s*$/;
const UNDERLINE = /^(=+|-+)\s*$/;
const RULED = /^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/;
const NAMED = /^([^:|]{1,80}?): /;
const LABEL = /^([A-Z][\w-]{1,24}): /;
const BARRED = " | ";
const INLINE = /`([^`\n]+)`|\*\*([^*\n]+)\*\*|(?<![\w*])\*([^*\s][^*\n]*)\*(?!\*)|(?<!\w)_([^_\n]+)_(?!\w)|\[([^\]\n]+)\]\([^)\s]*\)/g;

const isMarkdown = (type) => /markdown/.test(type);
const isDelimited = (type) => /csv|tab-separated/.test(type);

/**
 * `{kind: "h" | "p" | "list" | "table" | "pre" | "quote" | "labels", ...}`, in order. `titles`: of the sections that
 * begin in the text, by their place: `{level, title}`.
 */
export function structured(text, type, titles = new Map()) {
  const reader = { text, type, titles, blocks: [], lines: linesOf(text), at: 0 };
  if (isMarkdown(type)) frontMatter(reader);
  while (reader.at < reader.lines.length) {
    const line = reader.lines[reader.at];
    if (!line.text.trim()) close(reader);
    else if (!RULES.some((rule) => rule(reader, line))) paragraph(reader, line);
    reader.at += 1;
  }
  return reader.blocks;
}

function linesOf(text) {
  let from = 0;
  return text.split("\n").map((line) => {
    const found = { text: line, from, to: from + line.length };
    from = found.to + 1;
    return found;
  });
}

const last = ({ blocks }) => (blocks.at(-1)?.closed ? undefined : blocks.at(-1));
const close = ({ blocks }) => blocks.length && (blocks.at(-1).closed = true);

function into(reader, kind, more = {}) {
  const open = last(reader);
  if (open?.kind === kind) return open;
  const made = { kind, rows: [], ...more };
  reader.blocks.push(made);
  return made;
}

function paragraph(reader, { from, to }) {
  into(reader, "p", { flows: isMarkdown(reader.type) }).rows.push({ from, to });
}

function frontMatter(reader) {
  if (reader.lines[0]?.text.trim() !== "---") return;
  const end = reader.lines.findIndex((each, index) => index > 0 && /^(---|\.\.\.)\s*$/.test(each.text));
  if (end < 0) return;
  reader.blocks.push({ kind: "pre", rows: reader.lines.slice(1, end), closed: true });
  reader.at = end + 1;
}

/** Each takes the line it is given, and perhaps those behind it, or leaves it to the next. */
const RULES = [fenced, heading, break_, table, item, continued, quoted, labels];

function fenced(reader, line) {
  if (!isMarkdown(reader.type) || !FENCE.test(line.text)) return false;
  const mark = FENCE.exec(line.text)[1];
  const rest = reader.lines.slice(reader.at + 1);
  const length = rest.findIndex((each) => each.text.trim().startsWith(mark));
  const rows = length < 0 ? rest : rest.slice(0, length);
  reader.blocks.push({ kind: "pre", rows, closed: true });
  reader.at += rows.length + 1;
  return true;
}

const plain = (text) => text.replace(/[*_`#]|\]\([^)]*\)|\[/g, "").replace(/\s+/g, " ").trim();

function heading(reader, line) {
  const hashes = isMarkdown(reader.type) && HASHES.exec(line.text);
  const known = reader.titles.get(line.from);
  const isTitle = known && plain(line.text) === plain(known.title);
  if (!hashes && !isTitle) return false;
  const from = hashes ? line.from + line.text.indexOf(hashes[2], hashes[1].length) : line.from;
  const to = hashes ? from + hashes[2].length : line.to;
  reader.blocks.push({ kind: "h", level: hashes ? hashes[1].length : known.level, rows: [{ from, to }], closed: true });
  if (isTitle && UNDERLINE.test(reader.lines[reader.at + 1]?.text ?? "")) reader.at += 1;
  return true;
}

function break_(reader, line) {
  if (!isMarkdown(reader.type) || !BREAK.test(line.text)) return false;
  close(reader);
  return true;
}

function item(reader, line) {
  const mark = ITEM.exec(line.text);
  if (!mark) return false;
  const isNumbered = /\d/.test(mark[2]);
  const depth = Math.min(5, Math.floor(mark[1].replaceAll("\t", "  ").length / 2));
  into(reader, "list").rows.push({ from: line.from + mark[0].length, to: line.to, depth, mark: isNumbered ? mark[2] : "•" });
  return true;
}

/** A line that goes on with an item. */
function continued(reader, line) {
  const open = last(reader);
  if (open?.kind !== "list" || !/^\s{2,}/.test(line.text)) return false;
  const { depth } = open.rows.at(-1);
  open.rows.push({ from: line.from + /^\s*/.exec(line.text)[0].length, to: line.to, depth, mark: "" });
  return true;
}

function quoted(reader, line) {
  if (!isMarkdown(reader.type) || !QUOTE.test(line.text)) return false;
  into(reader, "quote").rows.push({ from: line.from + QUOTE.exec(line.text)[0].length, to: line.to });
  return true;
}

/** The head of a mail. */
function labels(reader, line) {
  const mark = reader.type === "message/rfc822" && LABEL.exec(line.text);
  if (!mark || (reader.blocks.length && last(reader)?.kind !== "labels")) return false;
  const at = line.from + mark[0].length;
  into(reader, "labels").rows.push({ label: { from: line.from, to: at - 2 }, from: at, to: line.to });
  return true;
}

// -- tables -------------------------------------------------------------------------------------------------------

/** Rows that follow each other: `{head: [range or {name}], rows: [{cells: [range or null]}]}`. */
function table(reader, line) {
  const split = splitter(reader, line);
  if (!split) return false;
  const lines = [];
  for (const each of reader.lines.slice(reader.at)) {
    if (!each.text.trim() || (lines.length && !split(each.text) && !goesOn(lines, each))) break;
    lines.push(each);
  }
  const cells = lines.map((each) => (split(each.text) ?? [[0, each.text.length]]).map(([from, to]) => ({ from: each.from + from, to: each.from + to })));
  reader.blocks.push({ kind: "table", ...columns(reader, lines, cells), closed: true });
  reader.at += lines.length - 1;
  return true;
}

/** How the rows of a table are divided that begins with this line; null if none does. */
function splitter(reader, line) {
  const next = reader.lines[reader.at + 1]?.text ?? "";
  if (isMarkdown(reader.type)) return line.text.includes("|") && RULED.test(next) && next.includes("-") ? atBars : null;
  if (line.text.includes(BARRED)) return between(BARRED);
  const delimiter = isDelimited(reader.type) && ["\t", ";", ",", "|"].find((each) => line.text.includes(each) && (next.includes(each) || next.includes(BARRED)));
  if (!delimiter) return null;
  return next.includes(BARRED) ? either(between(BARRED), delimitedBy(delimiter)) : delimitedBy(delimiter);
}

const either = (one, other) => (text) => one(text) ?? other(text);

/** A row with one cell says the name of its column. */
const goesOn = (lines, { text }) => {
  const name = NAMED.exec(text)?.[1];
  return name !== undefined && lines.some((each) => each.text.includes(`${name}: `));
};

const trimmed = (text, from, to) => {
  while (from < to && /\s/.test(text[from])) from += 1;
  while (to > from && /\s/.test(text[to - 1])) to -= 1;
  return [from, to];
};

const between = (bar) => (text) => {
  if (!text.includes(bar)) return null;
  let from = 0;
  return text.split(bar).map((cell) => {
    const found = [from, from + cell.length];
    from = found[1] + bar.length;
    return found;
  });
};

function atBars(text) {
  if (!text.includes("|")) return null;
  const bars = [...text.matchAll(/(?<!\\)\|/g)].map((each) => each.index);
  const edges = [-1, ...bars, text.length];
  const found = edges.slice(1).map((edge, index) => trimmed(text, edges[index] + 1, edge));
  if (/^\s*\|/.test(text)) found.shift();
  if (/\|\s*$/.test(text)) found.pop();
  return found;
}

/** Cells of a row of a text file; a cell in quotation marks may hold the delimiter. */
const delimitedBy = (delimiter) => (text) => {
  if (!text.includes(delimiter)) return null;
  const found = [];
  let [from, isQuoted] = [0, false];
  for (let at = 0; at <= text.length; at += 1) {
    if (text[at] === '"') isQuoted = !isQuoted;
    if (at < text.length && (isQuoted || text[at] !== delimiter)) continue;
    const [start, end] = trimmed(text, from, at);
    found.push(text[start] === '"' && text[end - 1] === '"' && end - start > 1 ? [start + 1, end - 1] : [start, end]);
    from = at + 1;
  }
  return found;
};

/** Where rows say the names of their columns, these become its head. */
function columns({ text, type }, lines, cells) {
  if (isMarkdown(type)) return { head: cells[0], rows: cells.slice(2).map((each) => ({ cells: each })) };
  const nameOf = ({ from, to }) => NAMED.exec(text.slice(from, to))?.[1];
  const named = cells.findIndex((row) => row.length > 1 && row.every((cell) => nameOf(cell) !== undefined));
  if (named < 0) return { head: looksLikeHead(text, cells) ? cells[0] : null, rows: cells.slice(looksLikeHead(text, cells) ? 1 : 0).map((each) => ({ cells: each })) };
  const above = cells[named - 1] ?? [];
  const found = cells.slice(named).flatMap((row) => row.map(nameOf)).filter((each) => each !== undefined);
  const written = above.map(({ from, to }) => text.slice(from, to));
  const names = [...new Set([...written.filter((each) => found.includes(each)), ...found])];
  const head = names.map((name) => above[written.indexOf(name)] ?? { name });
  const isHead = written.some((each) => names.includes(each));
  const before = cells.slice(0, isHead ? named - 1 : named).map((each) => ({ cells: each, apart: true }));
  return { head, rows: [...before, ...cells.slice(named).map((row) => placed(row, names, nameOf))] };
}

function placed(row, names, nameOf) {
  const cells = names.map(() => null);
  row.forEach((cell, index) => {
    const name = nameOf(cell);
    const at = name === undefined ? index : names.indexOf(name);
    cells[at] = name === undefined ? cell : { from: cell.from + name.length + 2, to: cell.to };
  });
  return { cells };
}

/** The first row of a short table names its columns if none of its cells is a number and one below is. */
function looksLikeHead(text, cells) {
  const isNumber = ({ from, to }) => /\d/.test(text.slice(from, to));
  return cells.length > 1 && !cells[0].some(isNumber) && cells.slice(1).some((row) => row.some(isNumber));
}

// -- within a line ------------------------------------------------------------------------------------------------

/** The pieces of a range that are shown, `{from, to, style}`: without the signs that Markdown has around them. */
export function inline(text, { from, to }, type) {
  if (!isMarkdown(type)) return [{ from, to }];
  const found = [];
  let at = from;
  for (const match of text.slice(from, to).matchAll(INLINE)) {
    const [whole, code, strong, ...em] = match;
    const inner = code ?? strong ?? em.find((each) => each !== undefined);
    const start = from + match.index;
    const begin = start + whole.indexOf(inner);
    if (start > at) found.push({ from: at, to: start });
    found.push({ from: begin, to: begin + inner.length, style: code ? "code" : strong ? "strong" : em[2] === undefined ? "em" : undefined });
    at = start + whole.length;
  }
  if (at < to) found.push({ from: at, to });
  return found;
}
