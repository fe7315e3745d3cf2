/** Parts of the page whose scripts are loaded when they are first shown. */

import { html, useEffect, useState } from "../../vendor/preact.js";
import { words } from "../words.js";
import { Failure, Waiting } from "./state.js";

/** The component that a module exports as `name`; `load` imports the module. */
export function lazily(load, name) {
  let part = null;
  return function Lazy(props) {
    const [problem, setProblem] = useState(null);
    const [, draw] = useState(0);
    useEffect(() => {
      if (part) return;
      load().then(
        (module) => {
          part = module[name];
          draw(1);
          // The heading of a new screen takes the focus, which could not be given before.
          requestAnimationFrame(() => document.activeElement === document.body && document.querySelector("h1")?.focus());
        },
        () => setProblem({ message: words.notLoaded, retryAfter: 0 }),
      );
    }, []);
    if (part) return html`<${part} ...${props} />`;
    // After an upgrade of the server the script is at another address, which the page learns by being loaded again.
    return problem ? html`<main class="entrance"><${Failure} problem=${problem} again=${() => location.reload()} /></main>` : html`<${Waiting} />`;
  };
}
