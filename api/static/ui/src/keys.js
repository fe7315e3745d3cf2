/** Keys that act anywhere. Single letters do nothing in a field and can be switched off (WCAG 2.1.4). */

import { signal } from "../vendor/preact.js";
import { list } from "./parts/list.js";
import { open, wantsText } from "./parts/reader.js";
import { go } from "./router.js";
import { answers, choose, chosen, isAnswering, stop, unchoose } from "./conversation.js";

export const lettersAct = signal(true);

const isField = (target) => target.closest?.("input, textarea, select, [contenteditable]");
let before = "";

/** The footnote `by` places behind the chosen one of the newest answer, or of the one that is chosen. */
function step(by) {
  const answer = answers.value.find((each) => each.key === chosen.value?.answer) ?? answers.value.at(-1);
  const numbers = answer?.citations.map((each) => each.marker).sort((one, other) => one - other) ?? [];
  const index = numbers.indexOf(chosen.value?.n);
  const next = numbers[index < 0 ? (by > 0 ? 0 : numbers.length - 1) : index + by];
  if (next !== undefined) choose(answer, next);
}

function pick(n) {
  const answer = answers.value.find((each) => each.key === chosen.value?.answer) ?? answers.value.at(-1);
  if (answer?.citations.some((each) => each.marker === n)) choose(answer, n);
}

const LETTERS = {
  "/": () => (document.getElementById("question") ?? document.getElementById("find"))?.focus(),
  "?": () => document.getElementById("help")?.click(),
  n: () => step(1),
  p: () => step(-1),
  "[": () => open.current?.turn(-1),
  "]": () => open.current?.turn(1),
  j: () => list.current?.step(1),
  k: () => list.current?.step(-1),
  t: () => open.current && (wantsText.value = !wantsText.value),
};

/** Behind `g`. */
const SCREENS = { a: "/", l: "/library", q: "/queue" };

/** What Escape ends: the answer that is being written, else the page beside it. */
export function escape() {
  if (isAnswering.value) return stop();
  const { value } = chosen;
  if (!value) return undefined;
  unchoose();
  return requestAnimationFrame(() => document.getElementById(`r${value.answer}-${value.n}`)?.focus());
}

addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.metaKey || event.ctrlKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.key === "Escape") return void escape();
  if (isField(event.target) || !lettersAct.value) return;
  const act = /^[1-9]$/.test(event.key) ? () => pick(Number(event.key)) : LETTERS[event.key];
  if (before === "g" && SCREENS[event.key]) {
    event.preventDefault();
    go(SCREENS[event.key]);
  } else if (act) {
    event.preventDefault();
    act();
  }
  before = event.key;
});
