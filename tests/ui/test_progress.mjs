/** Shares of work, and places of numerals in the margin. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { apart } from "../../api/static/ui/src/parts/numeral.js";
import { share } from "../../api/static/ui/src/progress.js";

const at = (step, done, total) => share({ step, progress: { done, total } });

test("the share of a document that is read never goes back", () => {
  const seen = [at("chunk", 0, 0), at("chunk", 5, 10), at("chunk", 10, 10), at("embed", 0, 7), at("embed", 7, 7), at("upsert", 0, 7), at("upsert", 7, 7)];
  assert.deepEqual(seen, [...seen].sort((one, other) => one - other));
  assert.equal(seen[0], 0);
  assert.ok(Math.abs(seen.at(-1) - 1) < 1e-9);
});

test("numerals that would overlap are moved down, in the order of their lines", () => {
  const placed = apart([{ n: 3, top: 52 }, { n: 1, top: 10 }, { n: 2, top: 50 }], 20);
  assert.deepEqual(placed.map(({ n, top }) => [n, top]), [[1, 10], [2, 50], [3, 70]]);
});
