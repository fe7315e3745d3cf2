// Run by tests/api/test_page_files.py with the Node of Playwright's wheel.
import assert from "node:assert/strict";
import { test } from "node:test";
import { inline, structured } from "../../api/static/ui/src/structure.js";

const XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
const cut = (text, range) => range && (range.name === undefined ? text.slice(range.from, range.to) : `(${range.name})`);

/** Each block in a line or more, as it would be read. */
function told(text, type = "text/plain", titles = new Map()) {
  return structured(text, type, titles).flatMap((block) => {
    const row = (cells) => cells.map((each) => cut(text, each) ?? "").join(" ; ");
    if (block.kind === "table") return [`head ${block.head ? row(block.head) : "none"}`, ...block.rows.map((each) => `row ${row(each.cells)}`)];
    return [`${block.kind}${block.level ?? ""} ${block.rows.map((each) => `${each.mark ?? ""}${"  ".repeat(each.depth ?? 0)}${cut(text, each)}`).join(" / ")}`];
  });
}

test("Markdown: headings, lists, tables, code, quotations", () => {
  const text =
    "---\ntitle: Notes\n---\n\n# Weather *notes*\n\nMade at\nthree hours.\n\n- one\n  goes on\n  - inner\n2. two\n\n```py\n# not a heading\n\n```\n\n> said\n\n| force | name |\n|---|:--|\n| 4 | moderate \\| fair |\n\nTitle\n=====\nafter | that\n";
  assert.deepEqual(told(text, "text/markdown", new Map([[text.indexOf("Title\n"), { level: 1, title: "Title" }]])), [
    "pre title: Notes",
    "h1 Weather *notes*",
    "p Made at / three hours.",
    "list •one / goes on / •  inner / 2.two",
    "pre # not a heading / ",
    "quote said",
    "head force ; name",
    "row 4 ; moderate \\| fair",
    "h1 Title",
    "p after | that",
  ]);
});

test("Word: headings are where the outline has them, tables where bars divide cells", () => {
  const text = "Boat orders\n\nTwo boats.\n\n- oars\n  - spare\n\nThe boats\n\nboat | length\nKittiwake | 4.2 m\n\nThe boats";
  const titles = new Map([
    [0, { level: 1, title: "Boat orders" }],
    [text.indexOf("The boats"), { level: 2, title: "The  boats" }],
  ]);
  assert.deepEqual(told(text, "application/docx", titles), [
    "h1 Boat orders",
    "p Two boats.",
    "list •oars / •  spare",
    "h2 The boats",
    "head boat ; length",
    "row Kittiwake ; 4.2 m",
    "p The boats",
  ]);
});

test("sheets: names that each row says become the head, cells that are missing leave a gap", () => {
  const text = "Stores\n\nitem | place | worth\nitem: tin | worth: 41.50\nitem: rope: long | place: shed | worth: 88\nworth: 130\n\nCounted.";
  assert.deepEqual(told(text, XLSX), [
    "p Stores",
    "head item ; place ; worth",
    "row tin ;  ; 41.50",
    "row rope: long ; shed ; 88",
    "row  ;  ; 130",
    "p Counted.",
  ]);
  assert.deepEqual(told("a: 1 | b: 2\na: 3 | b: 4", XLSX), ["head (a) ; (b)", "row 1 ; 2", "row 3 ; 4"], "of a part without its head");
});

test("text files with delimiters, with and without names in their rows", () => {
  const named = "Tides\n\nday;high water\nday: 1 March | high water: 04:12\nday: 2 March | high water: 04:57";
  assert.deepEqual(told(named, "text/csv"), ["p Tides", "head day ; high water", "row 1 March ; 04:12", "row 2 March ; 04:57"]);
  assert.deepEqual(told('glass,price\nchimney,4\n"globe, large",12', "text/csv"), ["head glass ; price", "row chimney ; 4", "row globe, large ; 12"]);
});

test("the head of a mail", () => {
  const text = "Subject: Lamp glass\nFrom: A <a@b.example>\n\nThe glass: cracked.\nDate: later";
  assert.deepEqual(told(text, "message/rfc822"), ["labels Lamp glass / A <a@b.example>", "p The glass: cracked. / Date: later"]);
});

test("signs of Markdown are not shown, and nothing else is lost", () => {
  const text = "a **b c** `d*e` *f* _g_ h_i_j [k](http://l.example) 3 * 4 * 5";
  const shown = inline(text, { from: 0, to: text.length }, "text/markdown");
  assert.equal(shown.map((each) => cut(text, each)).join(""), "a b c d*e f g h_i_j k 3 * 4 * 5");
  assert.deepEqual(shown.filter((each) => each.style).map((each) => [each.style, cut(text, each)]), [["strong", "b c"], ["code", "d*e"], ["em", "f"], ["em", "g"]]);
  assert.deepEqual(inline(text, { from: 2, to: 5 }, "text/plain"), [{ from: 2, to: 5 }]);
});

test("a long text takes no longer than it must", () => {
  const rows = Array.from({ length: 5000 }, (_, n) => `item: ${n} | place: shed ${n} | worth: ${n * 3}`);
  const begun = process.cpuUsage().user;
  assert.equal(structured(`item | place | worth\n${rows.join("\n")}`, XLSX)[0].rows.length, 5000);
  assert.ok(process.cpuUsage().user - begun < 2_000_000, "microseconds");
});
