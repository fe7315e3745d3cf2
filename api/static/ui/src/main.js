/** Starts the page: finds out who asks, and shows the screen of the address. */

import { html, render, useEffect } from "../vendor/preact.js";
import { me, recognise } from "./api.js";
import "./keys.js";
import { at } from "./router.js";
import * as live from "./live.js";
import { begin } from "./uploads.js";
import { words } from "./words.js";
import { DropEverywhere } from "./parts/drop.js";
import { Head } from "./parts/header.js";
import { Failure } from "./parts/state.js";
import { Ask } from "./screens/ask.js";
import { Document } from "./screens/document.js";
import { Login, onward } from "./screens/login.js";
import { Library } from "./screens/library.js";
import { Page } from "./screens/page.js";
import { Queue } from "./screens/queue.js";

let wasIn = false;
let before = null;

function Everything() {
  const isIn = Boolean(me.value);
  useEffect(() => {
    if (!isIn) return void live.end();
    wasIn = true;
    onward();
    live.begin();
    begin().catch(() => {});
  }, [isIn]);
  if (me.value === undefined) return null;
  // After a session has ended the screen stays below the login form, with what was typed.
  if (!isIn && !wasIn) return html`<${Login} />`;
  return html`<div class="whole" inert=${!isIn}><${Head} /><${Screen} /><${DropEverywhere} /></div>
    ${!isIn && html`<div class="over"><${Login} over /></div>`}`;
}

function Screen() {
  const { screen } = at.value;
  // The heading of a new screen takes the focus, as after the load of a page.
  useEffect(() => {
    if (before && before !== screen) document.querySelector("h1")?.focus();
    before = screen;
  }, [screen]);
  switch (at.value.screen) {
    case "ask":
      return html`<${Ask} />`;
    case "library":
      return html`<${Library} />`;
    case "document":
      return html`<${Document} key=${at.value.document} />`;
    case "page":
      return html`<${Page} />`;
    case "queue":
      return html`<${Queue} />`;
    case "enter":
      return null;
    default:
      return html`<main id="main" class="entrance"><h1>${words.lost}</h1><p><a href="/">${words.lostHome}</a></p></main>`;
  }
}

const root = document.getElementById("root");
const hasCode = () => at.value.screen === "enter" && location.hash.length > 1;
const start = () =>
  (hasCode() ? Promise.resolve((me.value = null)) : recognise()).then(
    () => render(html`<${Everything} />`, root),
    (problem) => render(html`<main id="main" class="entrance"><${Failure} problem=${problem} again=${start} /></main>`, root),
  );
start();
