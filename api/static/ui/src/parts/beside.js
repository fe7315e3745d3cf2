/** What stands beside the answers: conversations, and files on their way. */

import { html, signal, useEffect } from "../../vendor/preact.js";
import { conversation, conversations, list, moreConversations } from "../talk.js";
import { words } from "../words.js";
import { Choose, Reading } from "./files.js";
import { Name } from "./state.js";

/** On narrow screens the list is a screen of its own. */
export const listIsOpen = signal(false);

export function Beside({ withFiles }) {
  useEffect(() => {
    list().catch(() => {});
  }, []);
  useEffect(() => {
    listIsOpen.value = false;
  }, [conversation.value]);
  return html`<aside class=${listIsOpen.value ? "open" : ""} aria-label=${words.conversations}>
    <a class="new" href="/" aria-current=${conversation.value ? undefined : "page"}>${words.newQuestion}</a>
    ${conversations.value?.length > 0 && html`<h2 class="sc">${words.conversations}</h2>`}
    <ol class="toc">
      ${conversations.value?.map(
        (each) => html`<li key=${each.id}>
          <a href=${`/c/${each.id}`} aria-current=${each.id === conversation.value ? "page" : undefined}>
            <${Name} text=${each.title ?? words.untitled} />
            <small>${words.questions(each.message_count / 2, each.updated_at)}</small>
          </a>
        </li>`,
      )}
    </ol>
    ${moreConversations.value && html`<button type="button" class="plain more" onClick=${() => list({ more: true })}>${words.more}</button>`}
    ${withFiles && html`<div class="bottom"><${Reading} /><${Choose} look="plain add" /></div>`}
  </aside>`;
}
