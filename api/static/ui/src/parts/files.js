/** Files on their way, and the ways to add some. */

import { html, signal } from "../../vendor/preact.js";
import { may, me } from "../api.js";
import { place } from "../talk.js";
import { add, dismiss, files } from "../uploads.js";
import { words } from "../words.js";
import { Name, Said } from "./state.js";

/** A button that lets people choose files. */
export function Choose({ look = "act" }) {
  if (!may("write")) return null;
  const take = ({ target }) => {
    add(target.files, place.value);
    target.value = "";
  };
  return html`<label class=${look}>
    <input type="file" multiple class="vh" accept=${me.value.server.formats.join()} onChange=${take} />
    <span>${words.add}</span>
  </label>`;
}

/** What is sent and read, with the reason why something waits or has failed. */
export function Reading() {
  if (!files.value.length) return null;
  return html`<section class="queue" aria-label=${words.reading}>
    <ul>
      ${files.value.map((each) => html`<li key=${each.key}><${File} file=${each} /></li>`)}
    </ul>
  </section>`;
}

function File({ file }) {
  const over = file.phase === "ready" || file.phase === "failed";
  const [share, told] = standing(file);
  return html`<span class="f">
      ${file.phase === "ready"
        ? html`<a href=${`/d/${file.document.id}/p/1`}><${Name} text=${file.name} /></a>`
        : html`<${Name} text=${file.name} />`}
      ${over && html`<button type="button" class="plain" aria-label=${words.dismiss(file.name)} onClick=${() => dismiss(file.key)}>×</button>`}
    </span>
    ${share !== null && html`<progress value=${share} max="1" aria-label=${file.name}></progress>`}
    <span class=${`s${file.phase === "failed" ? " doubtful" : ""}`}>${told}</span>`;
}

/** How much is done, from 0 to 1 or null, and in words. */
function standing({ phase, share, document, problem, again }) {
  if (phase === "waits") return [0, words.waits("its turn")];
  if (phase === "sends") return [share / 100, words.sending(share)];
  if (phase === "ready") return [null, again ? words.readyAgain : words.ready(document.pages ?? 1)];
  if (phase === "failed") return [null, problem ? html`<${Said} text=${problem.message} />` : words.cancelled];
  const { step, progress, waiting_for: reason, next_attempt_at: next } = document;
  const share_ = progress.total ? progress.done / progress.total : 0;
  if (reason) return [share_, html`<${Said} text=${next ? words.waitsUntil(reason, next) : words.waits(reason)} />`];
  return [share_, words.step(step, progress.done, progress.total, progress.unit)];
}

const dragged = signal(false);
let depth = 0;

const hasFiles = (event) => event.dataTransfer?.types.includes("Files");

/** Files may be dropped anywhere. */
export function DropEverywhere() {
  return dragged.value && html`<div class="drop" role="status"><p>${words.dropNow}</p></div>`;
}

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
  add(event.dataTransfer.files, place.value);
});
