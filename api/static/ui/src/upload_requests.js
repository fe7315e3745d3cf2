/** A file's bytes on their way to the server, or straight to its object store. */

import { Problem, call, me, post } from "./api.js";

const WHOLE = 64 * 1024 * 1024; // bytes: to this size files are hashed, and sent through the API

/** The SHA-256 of a file in hexadecimal; null where that would take too much memory, or the browser has none (http). */
export async function sha256(file) {
  if (file.size > WHOLE || !file.size || !globalThis.crypto?.subtle) return null;
  const digest = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
  return [...new Uint8Array(digest)].map((each) => each.toString(16).padStart(2, "0")).join("");
}

/** What the server answers when it has the file. `told(share)`: percent that are sent. Throws Problem. */
export function send(file, given, told) {
  if (file.size <= WHOLE || !me.value?.server.direct_uploads) return atOnce(file, given, told);
  return inParts(file, given, told).catch((problem) => {
    if (!problem.isOfStore) throw problem;
    return atOnce(file, given, told); // the bucket lets no page in, or has an address that ours is not allowed
  });
}

function atOnce(file, { collection, external_id, key }, told) {
  const form = new FormData();
  if (collection) form.append("collection", collection);
  if (external_id) form.append("external_id", external_id);
  form.append("file", file);
  const headers = { "X-Footnote": "ui", "Idempotency-Key": key };
  return transfer("POST", "/v1/documents", form, headers, (loaded, total) => told(Math.floor((100 * loaded) / total)));
}

async function inParts(file, { collection, external_id }, told) {
  const { upload_id: id, parts } = await post("/v1/uploads", { filename: file.name, size: file.size, collection, external_id });
  for (const { url, offset, size } of parts) {
    const sent = (loaded) => told(Math.floor((100 * (offset + loaded)) / file.size));
    await transfer("PUT", url, file.slice(offset, offset + size), {}, sent).catch((problem) => {
      call("DELETE", `/v1/uploads/${id}`).catch(() => {});
      throw Object.assign(problem, { isOfStore: true });
    });
  }
  return call("POST", `/v1/uploads/${id}/complete`);
}

/** XMLHttpRequest, because fetch does not say how much was sent. */
function transfer(method, address, body, headers, told) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, address);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.responseType = headers["X-Footnote"] ? "json" : "";
    request.upload.onprogress = ({ loaded, total }) => told(loaded, total);
    request.onerror = () => reject(new Problem({ code: "offline" }));
    request.onload = () => {
      if (request.status >= 200 && request.status < 300) return resolve(request.response);
      const isOurs = Boolean(headers["X-Footnote"]);
      if (isOurs && request.status === 401) me.value = null;
      reject(new Problem((isOurs && request.response) || { status: request.status, title: request.statusText }));
    };
    request.send(body);
  });
}
