/** A page of a document alone, at the address that everything links to that quotes it. */

import { html, useEffect } from "../../vendor/preact.js";
import { at, go } from "../router.js";
import { about } from "../pages.js";
import { words } from "../words.js";
import { Reader } from "../parts/reader.js";

const number = (text) => (text && /^\d+$/.test(text) ? Number(text) : undefined);

export function Page() {
  const { document: id, query } = at.value;
  const page = number(at.value.page) ?? 1;
  const version = number(query.get("v"));
  const [from, to] = [number(query.get("from")), number(query.get("to"))];
  const quotedOn = number(query.get("on")) ?? page;
  const marks = to > from ? [{ n: "", page: quotedOn, from, to, on: true }] : [];
  useEffect(() => {
    about(id).then((found) => (document.title = `${found.filename} · ${words.name}`), () => {});
  }, [id]);
  const turn = (next) => {
    const kept = new URLSearchParams(query);
    if (marks.length) kept.set("on", quotedOn);
    go(`/d/${id}/p/${next}?${kept}`, { replace: true });
  };
  return html`<main id="main" class="alone"><${Reader} id=${id} version=${version} page=${page} marks=${marks} turn=${turn} /></main>`;
}
