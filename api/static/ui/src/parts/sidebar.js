/** The sidebar of the answers: the list of conversations, and files that are being uploaded. */

import { html, signal, useEffect, useState } from "../../vendor/preact.js";
import { may } from "../api.js";
import { conversation, conversations, hasMany, list, moreConversations, rename, sought } from "../conversation.js";
import { words } from "../words.js";
import { Choose, Reading } from "./files.js";
import { Failure, Name } from "./state.js";

/** On narrow screens the list is a screen of its own. */
const listIsOpen = signal(false);

/** Shown above the answers on narrow screens: links to the list and to a new question. */
export function Ways() {
  if (!conversations.value?.length) return null;
  return html`<p class="bar narrow">
    <button type="button" class="plain" aria-expanded=${listIsOpen.value} onClick=${() => (listIsOpen.value = true)}>${words.showList}</button>
    ${conversation.value && html`<a class="new" href="/">${words.newQuestion}</a>`}
  </p>`;
}

export function Sidebar({ withFiles }) {
  useEffect(() => {
    list().catch(() => {});
  }, []);
  const followed = ({ target }) => target.closest("a") && (listIsOpen.value = false);
  return html`<aside class=${listIsOpen.value ? "open" : ""} aria-label=${words.conversations} onClick=${followed}>
    <button type="button" class="plain narrow x" aria-label=${words.close} onClick=${() => (listIsOpen.value = false)}>×</button>
    <a class="new" href="/" aria-current=${conversation.value ? undefined : "page"}>${words.newQuestion}</a>
    <div class="all">
    ${(conversations.value?.length > 0 || sought.value) && html`<h2 class="sc">${words.conversations}</h2>`}
    ${hasMany.value && html`<${Find} />`}
    ${sought.value.trim() && conversations.value?.length === 0 && html`<p class="soft small">${words.noneFound}</p>`}
    <ol class="toc">
      ${conversations.value?.map(
        (each) => html`<li key=${each.id}>
          <a href=${`/c/${each.id}`} aria-current=${each.id === conversation.value ? "page" : undefined}>
            <${Name} text=${each.title ?? words.untitled} />
          </a>
          <small>${words.questions(each.message_count / 2, each.updated_at)}</small>
          ${each.id === conversation.value && may("write") && html`<${Title} key=${each.id} given=${each.title ?? ""} />`}
        </li>`,
      )}
    </ol>
    ${moreConversations.value && html`<button type="button" class="plain more" onClick=${() => list({ more: true })}>${words.more}</button>`}
    </div>
    ${withFiles && html`<div class="bottom"><${Reading} /><${Choose} look="plain add" /></div>`}
  </aside>`;
}

const PAUSE_MS = 200; // of typing
let timer = null;

function Find() {
  const seek = ({ target }) => {
    sought.value = target.value;
    clearTimeout(timer);
    timer = setTimeout(() => list().catch(() => {}), PAUSE_MS);
  };
  return html`<input type="search" class="seek" dir="auto" maxlength="200" aria-label=${words.findOne} placeholder=${words.findOne} value=${sought.value} onInput=${seek} />`;
}

/** The title of the conversation on the screen, to be changed. */
function Title({ given }) {
  const [typed, setTyped] = useState(null);
  const [problem, setProblem] = useState(null);
  if (typed === null) return html`<button type="button" class="plain small" onClick=${() => setTyped(given)}>${words.rename}</button>`;
  const save = async (event) => {
    event.preventDefault();
    try {
      if (typed.trim() && typed.trim() !== given) await rename(typed.trim());
      setTyped(null);
    } catch (failed) {
      setProblem(failed);
    }
  };
  const leave = (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    setTyped(null);
  };
  return html`<form class="title" onSubmit=${save} onKeyDown=${leave}>
    <input class="seek" dir="auto" maxlength="200" aria-label=${words.renameTo} value=${typed} ref=${(input) => input && document.activeElement !== input && input.focus()} onInput=${({ target }) => setTyped(target.value)} />
    <button type="submit" class="plain small">${words.save}</button>
    ${problem && html`<${Failure} problem=${problem} />`}
  </form>`;
}
