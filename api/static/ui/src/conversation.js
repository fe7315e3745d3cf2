/** The conversation on the screen: its questions, their answers as they come, and the footnote that is chosen. */

import { batch, computed, signal } from "../vendor/preact.js";
import { call, get, post } from "./api.js";
import { at, go } from "./router.js";
import { events } from "./stream.js";
import { wholeWords } from "./text.js";
import { words } from "./words.js";

/** The id of the conversation; null before the first question. */
export const conversation = signal(null);
/** Its answers, oldest first: see `blank`. */
export const answers = signal([]);
/** Its title, and where the messages before those that are here begin; null: there are none. */
export const title = signal(null);
export const earlier = signal(null);
/** Whether what is stored of it is here. */
export const isLoaded = signal(false);
/** What could not be loaded. */
export const failure = signal(null);
/** The footnote that was chosen, and the one under the pointer: `{answer: key, n}`, or null. */
export const chosen = signal(null);
export const hovered = signal(null);
export const lit = computed(() => hovered.value ?? chosen.value);
/** What a screen reader is told. */
export const told = signal("");
/** The collection to search; empty: all. */
export const place = signal("");

const PAGE_MESSAGES = 40; // two for each question
const BUSY_MS = 400;
const BUSY_TIMES = 8;

let running = null;
let keys = 0;

/** An answer before anything of it came. `phase`: asked, reading, writing, done, stopped, failed. */
const blank = (question) => ({
  key: (keys += 1),
  id: null,
  question,
  phase: "asked",
  text: "",
  citations: [],
  unsupported: [],
  passages: [],
  parts: [],
  corrected: [],
  notMentioned: [],
  searched: null,
  timings: {},
});

/** The fields that an answer, its sources and a stored message have in common. */
function taken(from) {
  return {
    status: from.answer_status,
    kind: from.answer_kind,
    unsupported: from.unsupported ?? [],
    citations: from.citations ?? [],
    passages: from.hits ?? from.passages ?? [],
    parts: from.parts ?? [],
    notMentioned: from.not_mentioned ?? [],
    evidence: from.evidence,
    rewritten: from.question_as_searched,
    corrected: from.searched_for ?? [],
    searched: from.searched,
    timings: from.timings ?? {},
    truncated: from.truncated,
    cached: from.cached,
    model: from.model,
  };
}

const change = (key, fields) => {
  answers.value = answers.value.map((each) => (each.key === key ? { ...each, ...fields } : each));
};
const answerOf = (key) => answers.value.find((each) => each.key === key);

export const isAnswering = computed(() => answers.value.some((each) => /asked|reading|writing/.test(each.phase)));

/** Shows what an address names. Loads it unless it is there already. */
export async function show({ conversation: id, message, hash }) {
  if (!id) {
    if (conversation.value !== null || failure.value) reset(null);
    return;
  }
  if (conversation.value !== id) {
    reset(id);
    await load(id, { message });
  }
  const found = answers.value.find((each) => each.id === message) ?? answers.value.at(-1);
  const note = /^fn(\d+)$/.exec(hash);
  if (found && note && !(chosen.value?.answer === found.key && chosen.value.n === Number(note[1]))) {
    chosen.value = { answer: found.key, n: Number(note[1]) };
  }
}

function reset(id) {
  stop();
  batch(() => {
    conversation.value = id;
    answers.value = [];
    chosen.value = hovered.value = failure.value = null;
    earlier.value = title.value = null;
    isLoaded.value = id === null;
  });
}

/** Loads the newest messages, or those before what is there; all of them as far as an answer that an address names. */
async function load(id, { message } = {}) {
  try {
    do {
      const cursor = earlier.value ? `&cursor=${earlier.value}` : "";
      const found = await get(`/v1/conversations/${id}?order=newest&limit=${PAGE_MESSAGES}${cursor}`);
      if (conversation.value !== id) return;
      batch(() => {
        title.value = found.title;
        answers.value = [...paired(found.messages.data.reverse()), ...answers.value];
        earlier.value = found.messages.next_cursor;
        isLoaded.value = true;
      });
    } while (message && earlier.value && !answers.value.some((each) => each.id === message));
  } catch (problem) {
    if (conversation.value === id) failure.value = problem;
  }
}

/** Loads the questions before those that are on the screen. */
export const loadEarlier = () => load(conversation.value);

/** Gives the conversation another title. */
export async function rename(to) {
  title.value = (await call("PATCH", `/v1/conversations/${conversation.value}`, { body: { title: to } })).title;
  await list();
}

export function loadAgain() {
  failure.value = null;
  load(conversation.value);
}

/** Questions and answers are stored as messages in turns. */
function paired(messages) {
  const found = [];
  for (const each of messages) {
    if (each.role === "user") found.push(blank(each.content));
    else Object.assign(found.at(-1), { id: each.id, phase: each.answer_status === "stopped" ? "stopped" : "done", text: each.content, ...taken(each) });
  }
  return found;
}

/** Asks in the conversation, or in a new one. */
export async function ask(question, { collection = place.value } = {}) {
  const answer = blank(question);
  const stopping = new AbortController();
  running = stopping;
  batch(() => {
    answers.value = [...answers.value, answer];
    chosen.value = hovered.value = null;
    told.value = words.answer.answering;
  });
  try {
    if (conversation.value === null) {
      conversation.value = (await post("/v1/conversations", {})).id;
      go(`/c/${conversation.value}`);
    }
    const body = { question, stream: true, ...(collection && { collections: [collection] }) };
    await patiently(() => receive(answer.key, events(`/v1/conversations/${conversation.value}/messages`, body, stopping.signal)));
    if (answerOf(answer.key)?.phase !== "done") change(answer.key, { phase: "failed" });
  } catch (problem) {
    const phase = stopping.signal.aborted ? "stopped" : "failed";
    change(answer.key, { phase, problem: phase === "failed" ? problem : null });
    told.value = phase === "failed" ? problem.message : words.answer.stopped;
    if (phase === "stopped") recognise(answer.key).catch(() => {});
  } finally {
    if (running === stopping) running = null;
  }
}

const rest = () => new Promise((resolve) => setTimeout(resolve, BUSY_MS));

/** An answer that was stopped a moment ago is still being stored. */
async function patiently(asking) {
  for (let left = BUSY_TIMES; ; left -= 1) {
    try {
      return await asking();
    } catch (problem) {
      if (problem.code !== "conversation_busy" || !left) throw problem;
      await rest();
    }
  }
}

/** As soon as it is stored, an answer that was stopped has an id and so an address. */
async function recognise(key) {
  const id = conversation.value;
  for (let left = BUSY_TIMES; left && id; left -= 1) {
    await rest();
    const { data } = (await get(`/v1/conversations/${id}?order=newest&limit=4`)).messages;
    if (conversation.value !== id) return;
    const stored = data.find((each) => each.answer_status === "stopped" && !answers.value.some((one) => one.id === each.id));
    if (stored) return settle(key, stored.id), list();
  }
}

/** Gives an answer its id; the newest one is what the address names. */
function settle(key, id) {
  change(key, { id });
  if (at.value.conversation === conversation.value && answers.value.at(-1)?.key === key) {
    go(`/c/${conversation.value}/${id}`, { replace: true });
  }
}

async function receive(key, coming) {
  let text = "";
  for await (const [name, data] of coming) {
    const answer = answerOf(key);
    if (!answer) return;
    if (name === "sources") change(key, { phase: "reading", ...taken(data), sources: data.hits.length });
    if (name === "delta") {
      text += data.text;
      change(key, { phase: "writing", text: wholeWords(text) });
    }
    if (name === "citation") change(key, { citations: [...answer.citations, data] });
    if (name === "done") finish(key, data);
  }
}

function finish(key, data) {
  const doubtful = data.citations.filter((each) => !each.verified).length;
  batch(() => {
    change(key, { phase: "done", text: data.answer, ...taken(data) });
    told.value = data.answer_status === "not_found" ? words.answer.notFound : words.answer.done(data.citations.length, doubtful);
  });
  settle(key, data.message_id);
}

export function stop() {
  running?.abort();
  running = null;
}

/** Takes an answer that failed off the screen and asks its question again. */
export function askAgain(key, options) {
  const { question, phase } = answerOf(key);
  if (phase !== "done") answers.value = answers.value.filter((each) => each.key !== key);
  return ask(question, options);
}

/** The address of a footnote: it shows the answer with the note's page open. */
export const noteAddress = (answer, n) =>
  answer.id ? `/c/${conversation.value}/${answer.id}#fn${n}` : `/c/${conversation.value}#fn${n}`;

/** Chooses a footnote, which opens its page beside the answer. */
export function choose(answer, n) {
  chosen.value = { answer: answer.key, n };
  if (answer.id) go(noteAddress(answer, n), { replace: at.value.hash !== "" });
}

export function unchoose() {
  chosen.value = null;
  if (at.value.hash) go(location.pathname, { replace: true });
}

/** The citation that is chosen, with its answer; null without one. */
export const shown = computed(() => {
  const answer = chosen.value && answerOf(chosen.value.answer);
  const citation = answer?.citations.find((each) => each.marker === chosen.value.n);
  return citation ? { answer, citation } : null;
});

// -- the list of conversations ----------------------------------------------------------------------------------

export const conversations = signal(null);
export const moreConversations = signal(null);

/** Words in the titles of those that are listed; empty: all. */
export const sought = signal("");

/** Loads the newest ones, or those behind what is there. */
export async function list({ more = false } = {}) {
  const words = sought.value.trim();
  let cursor = more ? moreConversations.value : null;
  const found = [];
  do {
    const asked = new URLSearchParams({ limit: 30, ...(words && { q: words }), ...(cursor && { cursor }) });
    const page = await get(`/v1/conversations?${asked}`);
    if (words !== sought.value.trim()) return;
    found.push(...page.data.filter((each) => each.message_count));
    cursor = page.next_cursor;
  } while (words && cursor && !found.length); // a page of a search may be empty and yet not the last
  batch(() => {
    conversations.value = more ? [...conversations.value, ...found] : found;
    moreConversations.value = cursor;
    if (!words) hasMany.value ||= found.length >= MANY;
  });
}

const MANY = 8; // from which on a field to find one is of use
export const hasMany = signal(false);
