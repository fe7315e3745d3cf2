/** Files and folders may be dropped on any screen. What is many, or not all taken, is shown before it is sent. */

import { html, signal, useEffect, useRef } from "../../vendor/preact.js";
import { get, may } from "../api.js";
import { filesOf, offer, sheet } from "../dropped_files.js";
import { place } from "../conversation.js";
import { add, addAddress, giveUp, goOn, left } from "../uploads.js";
import { words } from "../words.js";
import { Choose } from "./files.js";
import { Failure, Name } from "./state.js";

const LISTED = 200;

const dragged = signal(false);
const address = signal(false);
let depth = 0;

// -- seen on every screen -----------------------------------------------------------------------------------------------

/** The place to drop, the sheet and the dialogs. */
export function DropEverywhere() {
  return html`${dragged.value && html`<div class="drop" role="status"><p>${words.dropNow}</p></div>`}
    ${sheet.value && html`<${Sheet} found=${sheet.value} />`}
    ${address.value && html`<${Address} />`}`;
}

/** A dialog that is open as long as it is drawn; `ready`: its action has the focus. */
export function Dialog({ title, close, children, submit, act, wide, busy, ready }) {
  const shown = useRef();
  useEffect(() => shown.current.showModal(), []);
  const submitted = (event) => (event.preventDefault(), submit());
  return html`<dialog ref=${shown} class=${wide ? "wide-dialog" : ""} aria-labelledby="dialog" onClose=${close}>
    <form onSubmit=${submitted}>
      <h2 id="dialog">${title}</h2>
      ${children}
      <p class="ends">
        <button type="button" class="plain" onClick=${() => shown.current.close()}>${words.drop.cancel}</button>
        <button type="submit" class="act" disabled=${busy} autofocus=${ready}>${act}</button>
      </p>
    </form>
  </dialog>`;
}

/** The name of a collection: one that there is, or a new one; `usual`: where none is given. */
export function Collection({ value, choose, usual = "default" }) {
  const known = useRef(signal([])).current;
  useEffect(() => {
    get("/v1/collections?limit=100").then((found) => (known.value = found.data), () => {});
  }, []);
  return html`<label class="line">${words.drop.collection}
    <input list="collections" value=${value} placeholder=${usual} maxlength="64" spellcheck="false" onInput=${({ target }) => choose(target.value)} />
    <datalist id="collections">${known.value.map((each) => html`<option value=${each.name}></option>`)}</datalist>
  </label>`;
}

function Sheet({ found }) {
  const collection = useRef(signal(place.value)).current;
  const inOrder = new Intl.Collator(undefined, { numeric: true }).compare;
  const good = found.filter((each) => !each.why).sort((one, other) => inOrder(one.path, other.path));
  const bad = found.filter((each) => each.why);
  const bytes = good.reduce((sum, each) => sum + each.file.size, 0);
  const close = () => (sheet.value = null);
  const submit = () => {
    close();
    add(good, { collection: collection.value.trim() });
  };
  return html`<${Dialog} wide ready title=${words.drop.title(good.length)} act=${words.drop.send(good.length)} busy=${!good.length} close=${close} submit=${submit}>
    <p class="soft">${words.drop.sum(good.length, bytes)}${bad.length > 0 && html` <span class="doubtful">${words.drop.notTaken(bad.length)}</span>`}</p>
    <ul class="listed" tabindex="0" aria-label=${words.drop.files}>
      ${[...bad, ...good].slice(0, LISTED).map(
        (each) => html`<li class=${each.why ? "doubtful" : ""}>
          <${Name} text=${each.path} /><span>${each.why || words.drop.size(each.file.size)}</span>
        </li>`,
      )}
      ${found.length > LISTED && html`<li class="soft">${words.drop.more(found.length - LISTED)}</li>`}
    </ul>
    <${Collection} value=${collection.value} choose=${(name) => (collection.value = name)} />
  <//>`;
}

export const askForAddress = () => (address.value = true);

function Address() {
  const [url, collection, problem] = useRef([signal(""), signal(place.value), signal(null)]).current;
  const close = () => (address.value = false);
  const submit = async () => {
    try {
      await addAddress(url.value.trim(), collection.value.trim());
      close();
    } catch (refused) {
      problem.value = refused;
    }
  };
  return html`<${Dialog} title=${words.drop.address} act=${words.drop.fetch} close=${close} submit=${submit} busy=${!url.value.trim()}>
    <label class="line">${words.drop.url}
      <input type="url" required placeholder=${words.drop.example} value=${url.value} onInput=${({ target }) => (url.value = target.value)} />
    </label>
    <${Collection} value=${collection.value} choose=${(name) => (collection.value = name)} />
    ${problem.value && html`<${Failure} problem=${problem.value} />`}
  <//>`;
}

/** What a reload left behind: how much, and how it goes on. */
export function Left() {
  const { rows, total } = left.value;
  if (!rows.length) return null;
  const isFolder = rows.some((each) => each.path.includes("/"));
  return html`<div class="left" role="status">
    <p>${words.drop.left(rows.length, total)}</p>
    <${Choose} look="plain add" folder=${isFolder} label=${isFolder ? words.drop.folderAgain : words.drop.filesAgain} take=${goOn} />
    <button type="button" class="plain" onClick=${giveUp}>${words.drop.forget}</button>
  </div>`;
}

const hasFiles = (event) => event.dataTransfer?.types.includes("Files");

const listen = (name, act) =>
  addEventListener(name, (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    act(event);
    dragged.value = depth > 0 && may("write");
  });
listen("dragenter", () => (depth += 1));
listen("dragover", () => {});
listen("dragleave", () => (depth = Math.max(0, depth - 1)));
listen("drop", (event) => {
  depth = 0;
  filesOf(event.dataTransfer).then(offer);
});
