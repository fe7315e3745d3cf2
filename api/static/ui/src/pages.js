/** Pages of documents: their text, their pictures and the boxes of quotes, each asked for once. */

import { get } from "./api.js";

const MOST = 200;
const AROUND = 6000; // characters of a long page at each side of a quote
const asked = new Map();

/** The answer to a GET, from memory if it was asked before. A failed one is asked again. */
function once(path) {
  if (!asked.has(path)) {
    if (asked.size > MOST) asked.delete(asked.keys().next().value);
    const coming = get(path);
    asked.set(path, coming);
    coming.catch(() => asked.delete(path));
  }
  return asked.get(path);
}

const query = (fields) =>
  new URLSearchParams(Object.entries(fields).filter(([, value]) => value !== undefined && value !== null)).toString();

export const about = (id) => once(`/v1/documents/${id}`);

/** The same as it is now. */
export const now = (id) => get(`/v1/documents/${id}`);

/** A part of a page's text around a range. */
export const text = (id, page, version, from = 0, to = from) =>
  once(`/v1/documents/${id}/pages/${page}?${query({ version, char_start: from, char_end: to, around: AROUND })}`);

/** Boxes of a range, as shares of the page; none where it could not be found. */
export const boxes = (id, page, version, from, to) =>
  once(`/v1/documents/${id}/pages/${page}/highlights?${query({ version, char_start: from, char_end: to })}`).then(
    (found) => found.boxes,
  );

const WIDTHS = [200, 400, 800, 1200, 1600, 2000, 2400];

/** The address of a picture that is sharp at `width` CSS pixels. */
export function picture(id, page, version, width) {
  const needed = width * devicePixelRatio;
  const chosen = WIDTHS.find((each) => each >= needed) ?? WIDTHS.at(-1);
  return `/v1/documents/${id}/pages/${page}.webp?${query({ width: chosen, version })}`;
}

const images = new Map();

/** Has the browser fetch and decode a picture before it is shown. */
export function fetchAhead(address) {
  if (images.has(address)) return;
  if (images.size > 24) images.delete(images.keys().next().value);
  const image = new Image();
  image.src = address;
  image.decode().catch(() => images.delete(address));
  images.set(address, image);
}
