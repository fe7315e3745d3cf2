/** Files that were dropped or chosen: those in folders, too; what is many, or not all taken, is asked about first. */

import { signal } from "../vendor/preact.js";
import { may, me } from "./api.js";
import { place } from "./conversation.js";
import { add } from "./uploads.js";
import { words } from "./words.js";

const FEW = 20; // files that are sent without a question

/** What is asked about: `[{file, path, why}]`; null: nothing. `why` a file is not sent; empty if it is. */
export const sheet = signal(null);

/** The files of a drop, those in its folders among them, each with its path below what was dropped. */
export async function filesOf(transfer) {
  // All at once: after the first wait the browser has taken the list back.
  const items = [...transfer.items].filter((each) => each.kind === "file");
  const given = items.map((each) => [each.webkitGetAsEntry?.(), each.getAsFile()]);
  const found = [];
  for (const [entry, file] of given) {
    if (entry) await walk(entry, found);
    else if (file) found.push({ file, path: file.name });
  }
  return found;
}

async function walk(entry, found) {
  const asked = (ask) => new Promise((resolve) => ask(resolve, () => resolve(null)));
  if (entry.isFile) {
    const file = await asked((good, bad) => entry.file(good, bad));
    if (file) found.push({ file, path: entry.fullPath.slice(1) });
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    // A hundred at a time, until there are none.
    const some = await asked((good, bad) => reader.readEntries(good, bad));
    if (!some?.length) return;
    for (const each of some) await walk(each, found);
  }
}

const isHidden = ({ path }) => path.split("/").some((each) => each.startsWith(".") || each === "__MACOSX");

/** Why a file is not sent; empty if it is. */
function refusal({ file }) {
  const { formats, max_upload_bytes: most } = me.value.server;
  const ending = /\.[^.]+$/.exec(file.name.toLowerCase())?.[0];
  if (ending && !formats.includes(ending)) return words.drop.noType(ending);
  if (!file.size) return words.drop.isEmpty;
  return file.size > most ? words.drop.tooLarge(most) : "";
}

/** Sends a few files that are all taken; else asks first. */
export function offer(chosen) {
  if (!may("write")) return;
  const shown = chosen.filter((each) => !isHidden(each)).map((each) => ({ ...each, why: refusal(each) }));
  if (!shown.length) return;
  if (shown.length > FEW || shown.some((each) => each.why)) sheet.value = shown;
  else add(shown, { collection: place.value });
}
