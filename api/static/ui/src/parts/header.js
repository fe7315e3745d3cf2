/** The head of every screen: where one is, what is being read, theme, help and the way out. */

import { html, signal, useRef } from "../../vendor/preact.js";
import { leave, me, offlineSince } from "../api.js";
import { lettersAct } from "../keys.js";
import { at } from "../router.js";
import { counts, pausedSince } from "../live.js";
import { words } from "../words.js";

const THEMES = { system: "light", light: "dark", dark: "system" };
const theme = signal(localStorage.getItem("theme") ?? "system");

function changeTheme() {
  theme.value = THEMES[theme.value];
  if (theme.value === "system") {
    localStorage.removeItem("theme");
    delete document.documentElement.dataset.theme;
  } else {
    localStorage.setItem("theme", theme.value);
    document.documentElement.dataset.theme = theme.value;
  }
}

export const helpIsWanted = signal(0);

export function Head() {
  const { queued = 0, running = 0, waiting = 0, failed: look = 0 } = counts.value ?? {};
  const reading = queued + running + waiting;
  return html`<a class="skip" href="#main" onClick=${skip}>${words.skip}</a>
    <header>
      <a class="brand" href="/" aria-label=${words.home}>Footnote<b aria-hidden="true">*</b></a>
      <nav class="top" aria-label=${words.nav}>
        <a href="/" aria-current=${at.value.screen === "ask" ? "page" : undefined}>${words.ask}</a>
        <a href="/library" aria-current=${/library|document|^page/.test(at.value.screen) ? "page" : undefined}>${words.library.title}</a>
        <a href="/queue" aria-current=${at.value.screen === "queue" ? "page" : undefined}>${words.queue.title}</a>
      </nav>
      <div class="state" role="status">
        ${reading > 0 && html`<a href="/library?status=reading">${words.beingRead(reading)}</a>`}
        ${look > 0 && html`<a class="doubtful" href="/library?status=failed">${words.needLook(look)}</a>`}
      </div>
      <button type="button" class="plain" aria-label=${words.theme[theme.value]} title=${words.theme[theme.value]} onClick=${changeTheme}>
        <span class=${`moon ${theme.value}`} aria-hidden="true"></span>
      </button>
      <${Help} />
    </header>
    ${offlineSince.value && html`<p class="band" role="alert">${words.offline(offlineSince.value)}</p>`}
    ${pausedSince.value && !offlineSince.value && html`<p class="band" role="status">${words.queue.paused(pausedSince.value)}</p>`}`;
}

function skip(event) {
  event.preventDefault();
  (document.getElementById("question") ?? document.querySelector("h1"))?.focus();
}

/** What the keys do, who is logged in, and the way out. */
function Help() {
  const dialog = useRef();
  const show = () => dialog.current.showModal();
  return html`<button type="button" class="plain" id="help" aria-label=${words.help} onClick=${show}>?</button>
    <dialog ref=${dialog} aria-labelledby="keys" onClick=${(event) => event.target === dialog.current && dialog.current.close()}>
      <h2 id="keys">${words.keys.title}</h2>
      <dl>
        ${words.keys.list.map(([key, what]) => html`<dt><kbd>${key}</kbd></dt><dd>${what}</dd>`)}
      </dl>
      <label class="check"><input type="checkbox" checked=${lettersAct.value} onChange=${({ target }) => (lettersAct.value = target.checked)} /> ${words.keys.on}</label>
      <p class="soft">
        ${me.value?.key_name ? words.enter.who(me.value.key_name, me.value.tenant) : me.value && words.enter.person(me.value.tenant)}
      </p>
      <p class="ends">
        <button type="button" class="plain" onClick=${() => { dialog.current.close(); leave(); }}>${words.enter.leave}</button>
        <button type="button" class="act" onClick=${() => dialog.current.close()}>${words.close}</button>
      </p>
    </dialog>`;
}
