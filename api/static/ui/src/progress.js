/** How much of the work on a document is done. */

/** Where each step begins, and how much of all work it is, about: so that a bar never goes back. */
const PARTS = { chunk: [0, 0.2], embed: [0.2, 0.75], upsert: [0.95, 0.05] };

/** From 0 to 1. */
export function share({ step, progress: { done, total } }) {
  const [before, part] = PARTS[step] ?? [0, 1];
  return before + (total ? (part * done) / total : 0);
}
