/** A long list of which only the rows that are seen are drawn, each as high as the others. */

import { html, useEffect, useLayoutEffect, useRef, useState } from "../../vendor/preact.js";

const BESIDE = 8; // rows drawn above and below what is seen

/** What `j` and `k` do on the list that is shown: `{step(by)}`; null without one. */
export const list = { current: null };

/**
 * `row(index)` draws a row, `need(first, last, atTop)` is told which are seen, `head` is the first row. `height` in rem.
 * What is put on the list with `role="row"` must have `aria-rowindex`.
 */
export function Rows({ total, height, label, head, row, need, of }) {
  const bed = useRef();
  const [seen, setSeen] = useState([0, 30]);
  const wanted = useRef(null);
  const size = height * 16;
  const look = () => {
    const { scrollTop, clientHeight } = bed.current;
    const first = Math.max(0, Math.floor(scrollTop / size) - BESIDE);
    const last = Math.max(0, Math.min(total - 1, Math.ceil((scrollTop + clientHeight) / size) + BESIDE));
    setSeen((before) => (before[0] === first && before[1] === last ? before : [first, last]));
    need(first, last, scrollTop < size);
  };
  useLayoutEffect(() => {
    bed.current.scrollTop = 0;
  }, [of]);
  useLayoutEffect(look, [total, of]);
  useEffect(() => {
    addEventListener("resize", look);
    list.current = { step: (by) => step(bed.current, by, wanted, size, total) };
    return () => {
      removeEventListener("resize", look);
      list.current = null;
    };
  });
  // A row that was stepped to takes the focus as soon as it is drawn.
  useLayoutEffect(() => {
    if (wanted.current === null) return;
    const found = bed.current.querySelector(`[aria-rowindex="${wanted.current + 2}"] a`);
    if (found) {
      found.focus({ preventScroll: true });
      wanted.current = null;
    }
  });
  const last = Math.min(seen[1], total - 1);
  const drawn = [];
  for (let index = Math.min(seen[0], Math.max(0, last)); index <= last; index += 1) drawn.push(row(index));
  return html`<div class="rows" role="table" aria-label=${label} aria-rowcount=${total + 1}>
    <div class="head-rows" role="rowgroup">${head}</div>
    <div class="window" role="rowgroup" ref=${bed} onScroll=${look}>
      <div role="presentation" style=${{ height: `${total * size}px` }}>
        <div role="presentation" style=${{ transform: `translateY(${Math.min(seen[0], Math.max(0, last)) * size}px)` }}>${drawn}</div>
      </div>
    </div>
  </div>`;
}

function step(bed, by, wanted, size, total) {
  const now = document.activeElement?.closest?.("[aria-rowindex]");
  const from = now && bed.contains(now) ? Number(now.getAttribute("aria-rowindex")) - 2 : Math.floor(bed.scrollTop / size) - (by > 0 ? 1 : -1);
  const to = Math.max(0, Math.min(total - 1, from + by));
  wanted.current = to;
  const [top, bottom] = [to * size, (to + 1) * size];
  if (top < bed.scrollTop) bed.scrollTop = top;
  else if (bottom > bed.scrollTop + bed.clientHeight) bed.scrollTop = bottom - bed.clientHeight;
  bed.querySelector(`[aria-rowindex="${to + 2}"] a`)?.focus({ preventScroll: true });
}
