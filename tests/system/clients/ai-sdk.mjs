// Vercel's AI SDK: responses with a file search and chats, streamed and not; footnotes become sources.
import assert from "node:assert/strict";
import { createOpenAI } from "@ai-sdk/openai";
import { embedMany, generateText, streamText } from "ai";

const { STORE: store, ASKED: prompt, QUOTE: quote } = process.env;
const openai = createOpenAI({ baseURL: process.env.BASE_URL, apiKey: process.env.API_KEY });
const tools = { file_search: openai.tools.fileSearch({ vectorStoreIds: [store] }) };

const made = await generateText({ model: openai.responses("footnote"), prompt, tools });
assert(made.text.includes(quote), made.text);
assert.deepEqual([made.sources[0].sourceType, made.sources[0].filename], ["document", "lamp.txt"]);

const streamed = streamText({ model: openai.responses("footnote"), prompt, tools });
let text = "";
for await (const piece of streamed.textStream) text += piece;
assert.equal(text, made.text);
assert.equal((await streamed.sources)[0].filename, "lamp.txt");

// What was said before is sent by the ids of stored answers.
const messages = [{ role: "user", content: prompt }, ...made.response.messages, { role: "user", content: "And when?" }];
const followed = await generateText({ model: openai.responses("footnote"), messages, tools });
assert(followed.text.includes("1874"), followed.text);

const chat = await generateText({ model: openai.chat(`footnote:${store}`), prompt });
assert.equal(chat.text, made.text);
assert.equal(chat.sources[0].title, "lamp.txt");

const { embeddings } = await embedMany({ model: openai.embedding("footnote"), values: ["a lamp", "a siren"] });
assert.deepEqual(embeddings.map((each) => each.length), [384, 384]);
