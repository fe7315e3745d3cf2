/** Where no one is logged in: a code in the address is traded, or a key is asked for. */

import { html, useEffect, useState } from "../../vendor/preact.js";
import { enter, me, recognise } from "../api.js";
import { at, go } from "../router.js";
import { words } from "../words.js";
import { Failure, Waiting } from "../parts/state.js";

/** `over`: a session ended while the page was used; afterwards one is where one was. */
export function Login({ over }) {
  const [code] = useState(() => (at.value.screen === "enter" ? takeCode() : ""));
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(Boolean(code));
  const trade = async (proof) => {
    setBusy(true);
    setProblem(null);
    try {
      await enter(proof);
      await recognise();
      if (!me.value) throw { message: words.enter.noCookie, retryAfter: 0 };
    } catch (found) {
      // An address that was used is no obstacle to someone who is in.
      if (proof.code) await recognise().catch(() => {});
      if (me.value) return;
      setProblem(found.status === 401 ? { ...plain(found), message: proof.code ? words.enter.used : words.enter.wrong } : found);
      setBusy(false);
    }
  };
  useEffect(() => {
    if (code) trade({ code });
  }, []);
  const submit = (event) => {
    event.preventDefault();
    const key = event.target.elements.key.value.trim();
    if (key) trade({ key });
  };
  return html`<main id="main" class="entrance">
    <p class="brand">Footnote<b aria-hidden="true">*</b></p>
    <h1 tabindex="-1">${words.enter.title}</h1>
    ${over && html`<p role="status">${words.enter.over}</p>`}
    ${busy
      ? html`<${Waiting} text=${words.enter.trading} />`
      : html`<p>${words.enter.how} <code>${words.enter.command}</code>${", "}${words.enter.or}</p>
          <form onSubmit=${submit}>
            <div class="ask">
              <input name="key" type="password" autocomplete="current-password" spellcheck="false" aria-label=${words.enter.key} placeholder=${words.enter.key} />
              <button type="submit" class="act">${words.enter.open}</button>
            </div>
          </form>
          ${!over && html`<p class="soft small">${words.enter.first[0]} <code>${words.enter.first[1]}</code>${words.enter.first[2]}</p>`}`}
    ${problem && html`<${Failure} problem=${problem} />`}
  </main>`;
}

const plain = ({ code, status, requestId }) => ({ code, status, requestId, retryAfter: 0 });

/** The code of `/enter#code`, which leaves the address bar and the history at once. */
function takeCode() {
  const code = location.hash.slice(1);
  if (code) history.replaceState(null, "", "/enter");
  return code;
}

/** After the login: what was asked for, or the first screen. */
export const onward = () => at.value.screen === "enter" && go("/", { replace: true });
