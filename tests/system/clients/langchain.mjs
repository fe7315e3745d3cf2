// LangChain: responses with a file search keep their footnotes, chats are streamed, embeddings are texts.
import assert from "node:assert/strict";
import { ChatOpenAI, OpenAIEmbeddings } from "@langchain/openai";

const { STORE: store, ASKED: asked, QUOTE: quote } = process.env;
const common = { apiKey: process.env.API_KEY, configuration: { baseURL: process.env.BASE_URL }, maxRetries: 0 };

const responses = new ChatOpenAI({ ...common, model: "footnote", useResponsesApi: true });
const searching = responses.bindTools([{ type: "file_search", vector_store_ids: [store] }]);
const made = await searching.invoke(asked);
assert(made.text.includes(quote), made.text);
const cited = made.content.flatMap((part) => part.annotations ?? [])[0];
assert.deepEqual([cited.source, cited.title], ["file_citation", "lamp.txt"]);
const [anchored] = made.response_metadata.output[1].content[0].annotations; // as the server sent it
assert(anchored.verified && anchored.page_start === 1 && anchored.file_id === cited.file_id);

const chat = new ChatOpenAI({ ...common, model: `footnote:${store}`, streaming: true });
let text = "";
for await (const chunk of await chat.stream(asked)) text += chunk.text;
assert.equal(text, made.text);

const embeddings = new OpenAIEmbeddings({ ...common, model: "footnote" });
assert.deepEqual((await embeddings.embedDocuments(["a lamp", "a siren"])).map((each) => each.length), [384, 384]);
