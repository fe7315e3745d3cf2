/** Every word that the page shows, by key: a text, or a function of what it tells. Other languages have the same keys. */

const SMALL = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
const figure = new Intl.NumberFormat("en");
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "long" });
const dayOfYear = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "long", year: "numeric" });
const clock = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", hour12: false });

const count = (n) => SMALL[n] ?? figure.format(n);
const counted = (n, one, many) => `${count(n)} ${n === 1 ? one : many}`;
const capital = (text) => text[0].toUpperCase() + text.slice(1);
const SIZES = ["bytes", "KB", "MB", "GB"];

function size(bytes) {
  const power = bytes < 1000 ? 0 : Math.min(3, Math.floor(Math.log10(bytes) / 3));
  const number = bytes / 1000 ** power;
  return `${figure.format(power && number < 10 ? Number(number.toFixed(1)) : Math.round(number))} ${SIZES[power]}`;
}

/** What people call types of files; others are shown as they are. */
const TYPES = [
  [/\/pdf$/, "PDF"],
  [/wordprocessing|msword/, "Word"],
  [/spreadsheetml|ms-excel/, "Excel"],
  [/presentationml|ms-powerpoint/, "PowerPoint"],
  [/opendocument/, "OpenDocument"],
  [/epub/, "EPUB"],
  [/rfc822/, "Mail"],
  [/html/, "HTML"],
  [/markdown/, "Markdown"],
  [/csv/, "CSV"],
  [/plain/, "Text"],
];

/** The steps of ingestion and what they count, as readers know them. */
const STEPS = { chunk: "reading", embed: "indexing", upsert: "storing" };
const UNITS = { pages: "pages", chunks: "passages" };
const of = (done, total, unit) => `${figure.format(done)} of ${figure.format(total)} ${UNITS[unit] ?? unit}`;

const seconds = (ms) => `${(ms / 1000).toFixed(ms < 9950 ? 1 : 0)} s`;

const list = (items) => new Intl.ListFormat("en").format(items.map(String));

const listed = (names, more) =>
  more > 0 ? `${names.join(", ")} and ${count(more)} more` : names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)}` : names.join("");

/** A length of time in its two largest units. */
function duration(length) {
  const all = Math.max(0, Math.round(length));
  if (all < 90) return `${all} s`;
  if (all < 5400) return `${Math.round(all / 60)} min`;
  return all < 172800 ? `${Math.round(all / 3600)} h` : `${Math.round(all / 86400)} days`;
}

function date(moment) {
  const then = new Date(moment);
  const now = new Date();
  const days = Math.round((new Date(now).setHours(0, 0, 0, 0) - new Date(then).setHours(0, 0, 0, 0)) / 864e5);
  if (days === 0) return "Today";
  if (days === 1) return "Yesterday";
  return (then.getFullYear() === now.getFullYear() ? day : dayOfYear).format(then);
}

export const en = {
  name: "Footnote",
  home: "Footnote, home",
  skip: "Skip to the question",
  again: "Again",
  close: "Close",
  error: (id) => `Request ${id}`,
  lost: "There is nothing at this address.",
  lostHome: "Ask a question",
  loading: "Loading",
  offline: (since) => `No connection since ${clock.format(since)}. Trying again.`,
  noAnswerHere: "The server could not be reached.",
  retryIn: (n) => `Tried again in ${counted(n, "second", "seconds")}.`,
  missingScope: (scope) => `Your key lacks the scope “${scope}” for this.`,

  nav: "Main",
  ask: "Ask",
  stop: "Stop",
  theme: { system: "Theme: as the system", light: "Theme: light", dark: "Theme: dark" },
  help: "Help",
  beingRead: (n) => `${count(n)} being read`,
  needLook: (n) => (n === 1 ? "one needs a look" : `${count(n)} need a look`),

  enter: {
    title: "Log in",
    how: "On the machine that Footnote runs on, type",
    command: "footnote open",
    or: "or enter an API key:",
    first: ["The first key of an installation is in the file", ".footnote/api_key", "."],
    key: "API key",
    open: "Log in",
    trading: "Logging you in",
    used: "This address was used already, or is older than a minute. Run `footnote open` again.",
    wrong: "This key is unknown, expired or revoked.",
    over: "Your session is over. Log in to go on where you were.",
    noCookie: "Your browser did not store the session’s cookie. Allow cookies for this address, or use https.",
    leave: "Log out",
    who: (name, tenant) => `Logged in with the key “${name}” of ${tenant}.`,
    person: (tenant) => `Logged in at ${tenant}.`,
  },

  conversations: "Conversations",
  conversation: "Conversation",
  newQuestion: "New question",
  earlier: "Earlier questions",
  findOne: "Find a conversation",
  noneFound: "None has these words in its title.",
  rename: "Rename",
  renameTo: "Title of this conversation",
  save: "Save",
  questions: (n, moment) => (n > 1 ? `${date(moment)}, ${counted(n, "question", "questions")}` : date(moment)),
  untitled: "Untitled",
  showList: "Questions",
  more: "Earlier ones",

  first: {
    title: "Drop a file. Then ask.",
    lead: "Footnote reads it. Each footnote of an answer then shows its line on the page.",
    soon: "One moment. Then ask.",
    soonLead: "You can ask as soon as the first file is ready.",
    formats: "PDF, Word, PowerPoint, Excel, HTML, Markdown, mail, archives of these, and more.",
    noWrite: "Your key may not add documents. Someone with the scope “write” can.",
  },
  begin: {
    title: "What do you want to know?",
    lead: (n) => `Asked of ${counted(n, "document", "documents")}. Each footnote of an answer shows its line on the page.`,
    suggested: "For example",
    about: (heading) => `What does it say about “${heading}”?`,
  },
  field: {
    label: "Question",
    first: "Ask a question",
    next: "Ask a follow-up",
    where: "Where to look",
    all: "All collections",
    hint: "Enter asks, Shift-Enter begins a line, / comes back here",
    drop: "Drop files anywhere",
  },

  add: "Add files",
  dropNow: "Drop them to add them to Footnote",
  reading: "Being read",
  sending: (share) => `sending, ${share} %`,
  stepName: (name) => STEPS[name] ?? name,
  step: (name, done, total, unit) => (total ? `${STEPS[name] ?? name} ${of(done, total, unit)}` : (STEPS[name] ?? name)),
  waits: (reason) => `waits for ${reason}`,
  waitsUntil: (reason, moment) => `waits for ${reason}, until ${clock.format(new Date(moment))}`,
  ready: (pages) => `ready, ${counted(pages, "page", "pages")}`,
  readyAgain: (name) => `was here already${name ? ` as ${name}` : ""}`,
  cancelled: "cancelled",
  dismiss: (name) => `Remove ${name} from this list`,

  answer: {
    searching: "Searching",
    found: (passages, documents) => `Reading ${counted(passages, "passage", "passages")} of ${counted(documents, "document", "documents")}`,
    answering: "Answering",
    done: (notes, doubtful) =>
      `Answer with ${counted(notes, "footnote", "footnotes")}${doubtful ? `, ${count(doubtful)} doubtful` : ""}`,
    notFound: "Not in these documents.",
    notMentioned: (names) => `Nothing in them is about ${listed(names, 0)}.`,
    searched: (n) => `${capital(counted(n, "document was", "documents were"))} searched, and nothing in ${n === 1 ? "it" : "them"} answers this.`,
    where: ({ passages, collections, filtered }) =>
      `Looked into ${passages === null || passages === undefined ? "the passages" : counted(passages, "passage", "passages")} of ${collections.length === 1 ? "the collection" : "the collections"} ${listed(collections.slice(0, 5).map((each) => `“${each}”`), collections.length - 5)}${filtered ? ", those that the filter lets through" : ""}.`,
    evidence: ({ found, needed }) =>
      found >= needed
        ? "Passages were found that are about it, but no quote of them bears an answer."
        : found < 0.01
          ? "No passage is about it, so no answer was tried."
          : `The nearest passage falls short of what an answer needs (${found.toFixed(2)} of ${needed.toFixed(2)}).`,
    searchedNone: "There is no document to search yet.",
    unfinished: (n) => `${capital(counted(n, "document is", "documents are"))} still being read: ask again when ${n === 1 ? "it is" : "they are"} ready.`,
    nearest: "These passages come closest:",
    searchAll: "Search all collections",
    searchedFor: (question) => `Searched for: ${question}`,
    parts: (questions) => `Searched one by one: ${questions.join(" ")}`,
    corrected: (word, searched) => `“${word}” stands nowhere; searched for “${searched.join("”, “")}”.`,
    nothing: "Nothing was answered here yet.",
    removed: "This answer was made from a document that has been deleted.",
    truncated: "The model was cut off here.",
    stopped: "Stopped here.",
    broken: "The answer was interrupted here.",
    askAgain: "Ask again",
    unsupported: "no verified footnote",
    doubts: "Sentences that their footnotes do not bear out",
    notInQuote: (missing) => (missing.length ? `its quote does not say ${listed(missing.map((each) => `“${each}”`), 0)}.` : "its quote does not say this."),
    quoteDenies: "its quote says the opposite.",
    verbatim: "Quoted: the sentences stand in the documents as they are here; no model wrote anything.",
  },
  note: {
    list: "Footnotes",
    name: (n) => `Footnote ${n}`,
    doubtful: (n) => `Footnote ${n}, doubtful`,
    back: (n) => `Back to ${n} in the answer`,
    same: "The same",
    page: (n) => `p. ${n}`,
    notOnPage: "These words are not on the page:",
    notVerified: "not verified",
  },
  summary: {
    all: (n) => (n === 1 ? "The footnote stands on its page to the letter." : `${n === 2 ? "Both" : `All ${count(n)}`} footnotes stand on their pages to the letter.`),
    some: (good, n) =>
      `${capital(count(good))} of ${counted(n, "footnote", "footnotes")} ${good === 1 ? "stands on its page" : "stand on their pages"} to the letter.`,
    related: (n) => `${n === 1 ? "It comes" : "They come"} closest to the question and may not answer it.`,
    bare: (n) => (n === 1 ? "One sentence has none." : `${capital(count(n))} sentences have none.`),
    passages: (n, documents) => `${capital(counted(n, "passage", "passages"))} of ${counted(documents, "document", "documents")}`,
    took: (ms) => seconds(ms),
    writer: (model, ms) => `written by ${model}, ${seconds(ms)}`,
    written: "A model wrote the sentences; the footnotes are quotes.",
    cached: "an answer that was made before",
  },
  act: {
    copy: "Copy with footnotes",
    copied: "Copied",
    link: "Link",
    print: "Print",
    failed: "The browser did not allow it",
  },
  passages: { title: "What was found" },

  page: {
    label: "Page",
    ofAll: (all) => ` of ${figure.format(all)}`,
    number: (n) => `page ${figure.format(n)}`,
    sheet: (n) => `sheet ${figure.format(n)}`,
    before: "Page before",
    after: "Next page",
    picture: "Picture",
    text: "Text",
    larger: "Larger",
    smaller: "Smaller",
    alt: (n, name) => `Page ${n} of ${name}`,
    region: (n) => `Page ${n}`,
    here: (n) => `Footnote ${n} stands here`,
    ofPage: (n) => `page ${figure.format(n)}`,
    ofText: "the text",
    verified: (from, to, where, version) =>
      `Characters ${figure.format(from)} to ${figure.format(to)} of ${where}, version ${version}: compared with the stored page and found to the letter.`,
    doubtful: (where, version) => `These words are not on ${where} of version ${version}. The passage that was named for them is lit.`,
    doubtfulText: (version) => `These words are not in the text of version ${version}. The passage that was named for them is lit.`,
    chosen: (from, to, where, version) => `Characters ${figure.format(from)} to ${figure.format(to)} of ${where}, version ${version}.`,
    noBoxes: "The place could not be found on the picture; it is in the text.",
    earlier: "Earlier text",
    later: "Later text",
    replaced: (version) => `This footnote stands in version ${version}, which was replaced. Its pages are gone.`,
    openNewest: (version) => `Open version ${version}`,
    gone: "This document has been deleted.",
    empty: "No text was found on this page.",
    noPicture: "The picture of this page could not be made.",
  },

  queue: {
    title: "Queue",
    paused: (since) => `Paused since ${clock.format(new Date(since))}. Nothing is lost: it goes on after “footnote resume”.`,
    count: (n) => figure.format(n),
    now: (running, waits, capped) => {
      if (!running && !waits) return "Nothing is being read, and nothing waits.";
      const most = capped ? "more than " : "";
      const being = running ? `${capital(counted(running, "file is", "files are"))} being read` : "Nothing is being read";
      return `${being}${waits ? `, ${most}${count(waits)} ${waits === 1 ? "waits" : "wait"}` : ""}.`;
    },
    oldest: (seconds) => `The oldest has waited ${duration(seconds)}.`,
    rate: (passages, left) => `${figure.format(passages)} passages a second${left ? `, about ${duration(left)} left` : ""}.`,
    noWorker: "No worker is running. Start one: “footnote worker”, or see the log of “footnote up”.",
    steps: "Unfinished, by step",
    workers: (alive, slots) => `${counted(alive, "worker", "workers")}, ${counted(slots, "file", "files")} at once`,
    waits: "Why things wait",
    failed: "Why things failed",
    nothingWaits: "Nothing waits.",
    nothingFailed: "Nothing failed.",
    until: (moment) => `, until ${clock.format(new Date(moment))}`,
    code: (code, step) => `${code}, at ${STEPS[step] ?? step}`,
    retryAll: (n) => (n === 1 ? "Retry" : `Retry all ${count(n)}`),
    retrying: "Retrying …",
    retried: (n) => `${capital(counted(n, "file is", "files are"))} read again`,
    jobs: "Files in the queue",
    name: "File",
    step: "Step",
    state: "State",
    actions: "What can be done",
    cancel: "Cancel",
    retry: "Retry",
    doTo: (what, name) => (what === "retry" ? `Retry ${name}` : `Cancel ${name}`),
    progress: of,
    begun: "begun",
    sign: (seconds) => `, active ${seconds < 2 ? "now" : `${duration(seconds)} ago`}`,
    attempt: (n) => `, attempt ${n}`,
    noneOfThese: "None of these any more.",
    quiet: "All that was added has been read.",
    more: (n) => `The newest ${figure.format(n)} are shown.`,
    swaps: {
      title: "Models being swapped",
      share: (part) => `${figure.format(Math.floor(100 * part))} %`,
      states: {
        backfilling: "passages get vectors of the other model. Questions use the present one.",
        ready: "all passages have vectors of both models. You can switch.",
        switched: "questions use the other model. You can go back.",
        rolled_back: "questions use the former model again.",
        dropping: "vectors of the unused model are being deleted.",
      },
      tokens: (spent, expected) => `${figure.format(spent)} tokens of about ${figure.format(expected)}.`,
      drop: "Cancel",
      switch: "Switch",
      rollback: "Go back",
      doTo: (what, name) => `${{ drop: "Cancel the swap", switch: "Switch the model", rollback: "Go back to the former model" }[what]} of ${name}`,
    },
  },

  drop: {
    addFolder: "Add folder",
    fromAddress: "From an address",
    recognising: "looked at",
    turn: "its turn",
    more: (n) => `and ${count(n)} more`,
    title: (n) => (n ? `Add ${counted(n, "file", "files")}?` : "Nothing to add"),
    send: (n) => (n ? `Add ${figure.format(n)}` : "Add"),
    sum: (n, bytes) => `${capital(counted(n, "file", "files"))}, ${size(bytes)}. What is there already is not sent.`,
    notTaken: (n) => `${capital(count(n))} cannot be read and ${n === 1 ? "stays" : "stay"} out.`,
    noType: (ending) => `${ending} is not read`,
    isEmpty: "is empty",
    tooLarge: (most) => `larger than ${size(most)}`,
    files: "Files",
    size,
    collection: "Collection",
    cancel: "Cancel",
    address: "Add from an address",
    url: "Address",
    example: "report.example/2025.pdf",
    fetch: "Add",
    left: (n, total) => `${capital(count(n))} of ${counted(total, "file was", "files were")} not sent.`,
    folderAgain: "Choose the folder again",
    filesAgain: "Choose the files again",
    forget: "Leave them out",
  },
  library: {
    title: "Library",
    empty: "Drop a file or a folder anywhere.",
    emptyHow: "What you add is listed here, while it is read and afterwards.",
    sending: (done, all) => `${figure.format(done)} of ${counted(all, "file", "files")} sent`,
    find: "Find a name",
    order: "Order",
    orders: { newest: "Newest first", oldest: "Oldest first", name: "By name" },
    count: (n) => capital(counted(n, "document", "documents")),
    found: (n) => counted(n, "matches", "match"),
    more: "There are new ones",
    none: "Nothing matches.",
    all: "Show all",
    columns: ["Name", "Pages", "Passages", "State", "Added"],
    chooseAll: (n) => `Choose all ${figure.format(n)}`,
    choose: (name) => `Choose ${name}`,
    number: (n) => (n === null || n === undefined ? "–" : figure.format(n)),
    when: (moment) => (date(moment) === "Today" ? `today ${clock.format(new Date(moment))}` : date(moment)),
    ready: "ready",
    failed: "not read",
    chosenRegion: "What to do with the chosen documents",
    chosen: (n) => `${capital(count(n))} chosen`,
    delete: "Delete …",
    again: "Read again",
    move: "Move …",
    metadata: "Set metadata …",
    none_chosen: "Choose none",
    deleted: (done, n, over) => (over ? `${capital(counted(n, "document is", "documents are"))} deleted.` : `Deleting: ${figure.format(done)} of ${figure.format(n)}`),
    readAgain: (done, n, over) => (over ? `${capital(counted(n, "document is", "documents are"))} queued to be read again.` : `Queueing: ${figure.format(done)} of ${figure.format(n)}`),
    moved: (done, n, over, to) =>
      !over ? `Moving: ${figure.format(done)} of ${figure.format(n)}`
      : done < n ? `${capital(counted(done, "is", "are"))} in ${to} now. ${capital(count(n - done))} cannot be moved: found in another file, or ${to} has the same.`
      : `${capital(counted(n, "document is", "documents are"))} in ${to} now.`,
    moveTitle: (n) => (n === 1 ? "Move this document" : `Move ${counted(n, "document", "documents")}`),
    moveAct: "Move",
    moveWhat: (n) => `A new name makes a new collection. ${n === 1 ? "The document is" : "The documents are"} found there at once.`,
    deleteTitle: (n) => (n === 1 ? "Delete this document?" : `Delete ${counted(n, "document", "documents")}?`),
    deleteAct: (n) => (n === 1 ? "Delete it" : `Delete ${figure.format(n)}`),
    deleteWhat: (n) => `Everything that was made from ${n === 1 ? "it" : "them"} goes, too: pages, passages, and answers that may have used ${n === 1 ? "it" : "them"}. This cannot be undone.`,
    metadataTitle: (n) => `Metadata of ${n === 1 ? "this document" : counted(n, "document", "documents")}`,
    key: "Key",
    value: "Value",
    valueHint: "Filters use it at once. An empty value removes the key.",
    set: "Set",
  },
  about: {
    open: "Open its pages",
    version: (n) => `version ${n}`,
    bytes: size,
    added: (moment) => `added ${date(moment).replace(/^T|^Y/, (first) => first.toLowerCase())}, ${clock.format(new Date(moment))}`,
    read: "What was read",
    sum: ({ pages, chunks, language, documents: inside }) =>
      inside
        ? `${capital(counted(inside, "file was", "files were"))} found in it.`
        : `${capital(counted(pages, "page", "pages"))}, ${counted(chunks, "passage", "passages")}${language ? `, in ${capital(language)}` : ""}.`,
    gaps: ({ empty_pages: empty, pages_without_text: without, ocr_pages: ocr, replaced_characters: lost, skipped }) =>
      [
        without > 0 && `${without === 1 ? "Page" : "Pages"} ${list(empty.slice(0, 12))}${without > Math.min(12, empty.length) ? " and more" : ""} ${without === 1 ? "has" : "have"} no text.`,
        ocr > 0 && `The text of ${counted(ocr, "page was", "pages was")} recognised in a picture.`,
        lost > 0 && `${capital(counted(lost, "character", "characters"))} could not be read.`,
        skipped > 0 && `${capital(counted(skipped, "file in it was", "files in it were"))} left out.`,
      ].filter(Boolean),
    whole: "Nothing was left out.",
    time: "How long it took",
    seconds: (n) => seconds(1000 * n),
    attempts: (n) => `${count(n)} attempts`,
    facts: "Details",
    path: "External id",
    address: "Address",
    foundIn: "Found in",
    container: "the file that contains it",
    type: "Type",
    typeOf: (type) => TYPES.find(([pattern]) => pattern.test(type))?.[1] ?? type,
    files: "Files found in it",
    state: ({ status, error }) => (status === "ready" ? "ready" : (error?.message ?? status)),
    download: "Download",
    cancel: "Stop reading",
    upload: "Upload another file",
    deleted: "Deleted",
    at: (moment) => `${date(moment).replace(/^T|^Y/, (first) => first.toLowerCase())}, ${clock.format(new Date(moment))}`,
    counts: { documents: "Documents", versions: "Versions", pages: "Pages", chunks: "Passages", embeddings: "Vectors", second_vectors: "Vectors of another model", jobs: "Jobs", answers: "Answers emptied", objects: "Stored files", bytes: "Size" },
  },

  keys: {
    title: "Keys",
    on: "Single letters act outside of fields",
    list: [
      ["/", "to the question"],
      ["Enter", "asks; Shift-Enter begins a line"],
      ["Escape", "stops the answer, or closes the page"],
      ["1 … 9", "shows a footnote"],
      ["n, p", "next, previous footnote"],
      ["[, ]", "page before, next page"],
      ["t", "text or picture"],
      ["j, k", "next, previous document"],
      ["Space", "chooses a document"],
      ["g a, g l, g q", "a new question, the library, the queue"],
      ["?", "this list"],
    ],
  },
};
