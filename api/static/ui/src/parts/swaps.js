/** Collections whose embedding model is being swapped: how far each is, and what can be done about it. */

import { html, useState } from "../../vendor/preact.js";
import { may } from "../api.js";
import { words } from "../words.js";
import { swapModel } from "../work.js";
import { Failure, Name, Said } from "./state.js";

const ACTIONS = { backfilling: ["drop"], ready: ["switch", "drop"], rolled_back: ["switch", "drop"], switched: ["rollback"] };

export function ModelSwaps({ swaps }) {
  return html`<div class="causes">
    <section aria-labelledby="swaps">
      <h2 class="sc" id="swaps">${words.queue.swaps.title}</h2>
      <ul>
        ${swaps.map((each) => html`<li key=${each.id}><${Swap} swap=${each} /></li>`)}
      </ul>
    </section>
  </div>`;
}

const modelOf = ({ provider, model }) => `${provider}/${model}`;

function Swap({ swap }) {
  const [failed, setFailed] = useState(null);
  const { done, total } = swap.progress;
  const working = swap.status === "backfilling" || swap.status === "dropping";
  const go = (what) => () => swapModel(swap, what).then(() => setFailed(null), setFailed);
  const act = (what) => html`<button type="button" class=${`plain do${what === "switch" ? " again" : ""}`} aria-label=${words.queue.swaps.doTo(what, swap.collection)} onClick=${go(what)}>${words.queue.swaps[what]}</button>`;
  return html`<b>${words.queue.swaps.share(total ? done / total : 1)}</b>
    <span>
      <${Name} text=${swap.collection} />: ${words.queue.swaps.states[swap.status]}
      ${working && html`<progress value=${done} max=${total || 1} aria-label=${swap.collection}></progress>`}
      <small>
        <${Name} text=${modelOf(swap.former)} /> → <${Name} text=${modelOf(swap.next)} />.
        ${" "}${words.queue.swaps.tokens(swap.tokens_spent, swap.estimate.tokens)}
        ${swap.waiting_for && html` <${Said} text=${words.waits(swap.waiting_for)} />`}
      </small>
      ${failed && html`<${Failure} problem=${failed} />`}
    </span>
    <span class="acting">${may("write") && ACTIONS[swap.status]?.map(act)}</span>`;
}
