/** Files on their way, and the ways to add some. */

import { html } from "../../vendor/preact.js";
import { may, me } from "../api.js";
import { offer } from "../dropped_files.js";
import { share } from "../progress.js";
import { dismiss, files } from "../uploads.js";
import { words } from "../words.js";
import { Name, Said } from "./state.js";

const MOST = 8; // listed one by one
const ORDER = ["failed", "sends", "reads", "waits", "new", "ready"];

/** A button that lets people choose files or, as `folder`, all files of one. */
export function Choose({ look = "act", folder = false, label = folder ? words.drop.addFolder : words.add, take = offer }) {
  if (!may("write")) return null;
  const taken = ({ target }) => {
    take([...target.files].map((file) => ({ file, path: file.webkitRelativePath || file.name })));
    target.value = "";
  };
  return html`<label class=${look}>
    <input type="file" multiple class="vh" webkitdirectory=${folder} accept=${folder ? undefined : me.value.server.formats.join()} onChange=${taken} />
    <span>${label}</span>
  </label>`;
}

/** What is sent and read, with the reason why something waits or has failed. `which`: of all files, these. */
export function Reading({ which = () => true, most = MOST }) {
  const found = files.value.filter(which);
  if (!found.length) return null;
  const sorted = found.length > most ? ORDER.flatMap((phase) => found.filter((each) => each.phase === phase)) : found;
  return html`<section class="queue" aria-label=${words.reading}>
    <ul>
      ${sorted.slice(0, most).map((each) => html`<li key=${each.key}><${File} file=${each} /></li>`)}
      ${found.length > most && html`<li key="more" class="soft">${words.drop.more(found.length - most)}</li>`}
    </ul>
  </section>`;
}

function File({ file }) {
  const over = file.phase === "ready" || file.phase === "failed";
  const [done, told] = standing(file);
  return html`<span class="f">
      ${file.document && file.phase !== "reads"
        ? html`<a href=${`/d/${file.document.id}${file.phase === "ready" ? "/p/1" : ""}`}><${Name} text=${file.name} /></a>`
        : html`<${Name} text=${file.name} />`}
    </span>
    ${over && html`<button type="button" class="plain x" aria-label=${words.dismiss(file.name)} onClick=${() => dismiss(file.key)}>×</button>`}
    ${done !== null && html`<progress value=${done} max="1" aria-label=${file.name}></progress>`}
    <span class=${`s${file.phase === "failed" ? " doubtful" : ""}`}>${told}</span>`;
}

/** How much is done, from 0 to 1 or null, and in words. */
function standing({ name, phase, share: sent, document, problem, again, hint }) {
  if (phase === "new") return [null, words.drop.recognising];
  if (phase === "waits") return [null, hint ? html`<${Said} text=${hint.message} />` : words.waits(words.drop.turn)];
  if (phase === "sends") return [sent / 100, words.sending(sent)];
  if (phase === "ready") return [null, again ? words.readyAgain(document.filename === name ? "" : document.filename) : words.ready(document.pages ?? 1)];
  if (phase === "failed") return [null, problem ? html`<${Said} text=${problem.message} />` : words.cancelled];
  return progressOf(document);
}

/** Of a document that is being read: its share, null while nothing is done, and what is done or waited for. */
export function progressOf({ step, progress, waiting_for: reason, next_attempt_at: next }) {
  const done = share({ step, progress });
  if (reason) return [done || null, html`<${Said} text=${isLater(next) ? words.waitsUntil(reason, next) : words.waits(reason)} />`];
  return [done, words.step(step, progress.done, progress.total, progress.unit)];
}

/** A time that is near or over means: as soon as possible. */
const isLater = (moment) => moment && new Date(moment) - Date.now() > 5000;
