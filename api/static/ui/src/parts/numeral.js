/** Numerals in the margin, beside the first lines of their quotes. */

import { html } from "../../vendor/preact.js";

/** A hand points at the lines of the footnote that was chosen. What they tell, the marks and notes tell in words. */
export function Numeral({ n, on, verified, top }) {
  const name = `num${on ? " on" : ""}${verified === false ? " doubt" : ""}`;
  return html`<span class=${name} aria-hidden="true" style=${{ top }}>${on && html`<b>☞</b>`}${n}</span>`;
}

/** From top to bottom, moved down where they would overlap. */
export function apart(found, gap) {
  const sorted = [...found].sort((one, other) => one.top - other.top);
  for (let index = 1; index < sorted.length; index += 1) {
    sorted[index].top = Math.max(sorted[index].top, sorted[index - 1].top + gap);
  }
  return sorted;
}
