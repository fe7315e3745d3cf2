// Run by tests/api/test_page_files.py with the Node of Playwright's wheel.
import assert from "node:assert/strict";
import { test } from "node:test";
import { blocks, cut, length, markdown, markup, wholeWords } from "../../api/static/ui/src/text.js";

const shown = (line) => line.map((each) => (each.marker ? `^${each.marker}` : each.text)).join("");

test("offsets are code points", () => {
  const text = "🪔🪔🪔 The lamp 𝔟urns.";
  assert.equal(cut(text, 4, 12), "The lamp");
  assert.equal(cut(text, 13, 19), "𝔟urns.");
  assert.equal(length(text), [...text].length);
  assert.equal(cut("plain", 1, 3), "la");
  assert.equal(cut("short", 2, 99), "ort");
});

test("numerals stand behind the punctuation, and only footnotes become numerals", () => {
  const [{ lines }] = blocks("It burns oil [1]. See a[0] and [7]; both [1][2], too.", new Set([1, 2]));
  assert.equal(shown(lines[0]), "It burns oil.^1 See a[0] and [7]; both,^1^2 too.");
});

test("paragraphs, lists, headings and code are nodes, everything else is text", () => {
  const text = "# Lamps\n\nOne **bold** `a[1]`.\n\n- oil [1]\n- gas\n\n2. two\n3. three\n\n```\n<b>*raw*</b>\n```\n<script>x</script>";
  const found = blocks(text, new Set([1]));
  assert.deepEqual(found.map((each) => each.kind), ["h", "p", "ul", "ol", "pre", "p"]);
  assert.equal(found[3].start, 2);
  assert.deepEqual(found[1].lines[0].filter((each) => each.strong || each.code).map((each) => each.text), ["bold", "a[1]"]);
  assert.equal(found[4].lines[0][0].text, "<b>*raw*</b>");
  assert.equal(found[5].lines[0][0].text, "<script>x</script>");
});

test("an unsupported sentence is marked by its code points, across bold and numerals", () => {
  const text = "🪔 Fine [1]. It has **gone** to K.";
  const start = [...text].join("|").split("|").indexOf("I");
  const [{ lines }] = blocks(text, new Set([1]), [{ char_start: start, char_end: [...text].length }]);
  const bare = lines[0].filter((each) => each.bare === 0).map((each) => each.text);
  assert.deepEqual(bare, ["It has ", "gone", " to K."]);
  assert.ok(lines[0].filter((each) => each.bare === undefined).every((each) => !/gone/.test(each.text ?? "")));
});

test("what still grows ends with a whole word and no half marker", () => {
  assert.equal(wholeWords("The lamp bur"), "The lamp");
  assert.equal(wholeWords("The lamp burns [1"), "The lamp burns");
  assert.equal(wholeWords("Th"), "");
});

test("long hostile lines take no time", () => {
  const began = performance.now();
  for (const each of ["[1] ", "**a", "`a", " [1", "- ", "\u202e[1]"]) blocks(each.repeat(25_000), new Set([1]));
  assert.ok(performance.now() - began < 3000);
});

test("copies are Markdown with notes, and HTML without any of the text's own", () => {
  const answer = {
    question: "What burns?",
    text: "Oil <b> [1].",
    citations: [{ marker: 1, filename: "a.md", page_start: 1, quote: "whale\noil", verified: false }],
  };
  const words = { page: (n) => `p. ${n}`, notVerified: "not verified" };
  const made = markdown(answer, words, () => "http://x/d/1");
  assert.ok(made.includes("Oil <b>[^1]."));
  assert.ok(made.includes("[^1]: a.md, p. 1: “whale oil” (not verified) <http://x/d/1>"));
  assert.ok(!markup(made).includes("<b>"));
});
