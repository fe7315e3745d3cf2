/** The field for a question. What is typed stays when the session ends or an answer fails. */

import { html, signal, useEffect, useLayoutEffect, useRef } from "../../vendor/preact.js";
import { get } from "../api.js";
import { ask, conversation, isAnswering, place, stop } from "../conversation.js";
import { words } from "../words.js";

export const typed = signal("");
const collections = signal([]);

export async function loadCollections() {
  collections.value = (await get("/v1/collections?limit=100")).data;
}

export function Field() {
  const area = useRef();
  useEffect(() => {
    loadCollections().catch(() => {});
  }, []);
  useLayoutEffect(() => {
    area.current.style.height = "auto";
    area.current.style.height = `${area.current.scrollHeight}px`;
  }, [typed.value]);
  const submit = (event) => {
    event.preventDefault();
    if (isAnswering.value) return stop();
    const question = typed.value.trim();
    if (!question) return area.current.focus();
    typed.value = "";
    ask(question);
  };
  const onKey = (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) submit(event);
  };
  return html`<form onSubmit=${submit}>
    <div class="ask">
      <textarea id="question" ref=${area} rows="1" dir="auto" maxlength="8192" aria-label=${words.field.label}
        placeholder=${conversation.value ? words.field.next : words.field.first} value=${typed.value}
        onInput=${({ target }) => (typed.value = target.value)} onKeyDown=${onKey}></textarea>
      <${Where} />
      <button type="submit" class="act">${isAnswering.value ? words.stop : words.ask}</button>
    </div>
    <div class="hint"><span>${words.field.hint}</span><span>${words.field.drop}</span></div>
  </form>`;
}

function Where() {
  if (collections.value.length < 2) return null;
  return html`<select class="wide" aria-label=${words.field.where} value=${place.value} onChange=${({ target }) => (place.value = target.value)}>
    <option value="">${words.field.all}</option>
    ${collections.value.map((each) => html`<option value=${each.name}>${each.name}</option>`)}
  </select>`;
}
