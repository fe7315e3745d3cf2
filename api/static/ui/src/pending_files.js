/**
 * Files that were chosen and are not sent yet, by name, size and date, so that a reload loses none: the bytes stay on
 * this device, and people choose the file or folder again. In IndexedDB, a row for each file.
 */

const NAME = "footnote";
const ROWS = "files";

let opening = null;

function open() {
  opening ??= new Promise((resolve, reject) => {
    const asked = indexedDB.open(NAME, 1);
    asked.onupgradeneeded = () => asked.result.createObjectStore(ROWS, { keyPath: "id" });
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
  return opening;
}

async function change(act) {
  const transaction = (await open()).transaction(ROWS, "readwrite");
  act(transaction.objectStore(ROWS));
  return new Promise((resolve, reject) => {
    transaction.oncomplete = resolve;
    transaction.onerror = () => reject(transaction.error);
  });
}

/** What makes a file the same again: `path` is that below a chosen folder, or the name. */
export const same = ({ path, size, modified }) => `${path}\n${size}\n${modified}`;

/** A browser that stores nothing (a private window) only forgets at a reload. */
export const remember = (rows) => change((store) => rows.forEach((each) => store.put(each))).catch(() => {});
export const forget = (ids) => change((store) => ids.forEach((each) => store.delete(each))).catch(() => {});

/** The rows of `owner` whose tab is gone. */
export async function leftBehind(owner) {
  try {
    const store = (await open()).transaction(ROWS).objectStore(ROWS);
    const rows = await new Promise((resolve, reject) => {
      const asked = store.getAll();
      asked.onsuccess = () => resolve(asked.result);
      asked.onerror = () => reject(asked.error);
    });
    const held = navigator.locks ? (await navigator.locks.query()).held.map((each) => each.name) : [];
    return rows.filter((each) => each.owner === owner && !held.includes(lockOf(each.tab)));
  } catch {
    return [];
  }
}

const lockOf = (tab) => `footnote-tab ${tab}`;

/** Marks the files of this tab as being sent for as long as it lives. */
export function holdTab(tab) {
  navigator.locks?.request(lockOf(tab), () => new Promise(() => {})).catch(() => {});
}
