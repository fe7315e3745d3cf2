/** Addresses to screens. Every thing has one, so that reload and Back work. */

import { signal } from "../vendor/preact.js";

const ROUTES = [
  [/^\/$/, "ask", []],
  [/^\/enter$/, "enter", []],
  [/^\/c\/([\w-]+)(?:\/([\w-]+))?$/, "ask", ["conversation", "message"]],
  [/^\/d\/([\w-]+)\/p\/(\d+)$/, "page", ["document", "page"]],
  [/^\/d\/([\w-]+)$/, "document", ["document"]],
  [/^\/library$/, "library", []],
  [/^\/queue$/, "queue", []],
];

function here() {
  for (const [pattern, screen, names] of ROUTES) {
    const found = pattern.exec(location.pathname);
    if (found) {
      const parts = Object.fromEntries(names.map((name, index) => [name, found[index + 1]]));
      return { screen, ...parts, query: new URLSearchParams(location.search), hash: location.hash.slice(1) };
    }
  }
  return { screen: "lost", query: new URLSearchParams(), hash: "" };
}

export const at = signal(here());

/** Goes to an address of the page. `replace`: instead of the present one. */
export function go(address, { replace = false } = {}) {
  if (address === location.pathname + location.search + location.hash) return;
  history[replace ? "replaceState" : "pushState"](null, "", address);
  at.value = here();
}

addEventListener("popstate", () => (at.value = here()));

// Links of the page are followed without loading it again.
addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href^='/']");
  const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
  if (!link || !plain || event.defaultPrevented || link.target || link.hasAttribute("download")) return;
  event.preventDefault();
  go(link.getAttribute("href"));
});
