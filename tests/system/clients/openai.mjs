// The official client for JavaScript: models, chats and responses, streamed and not, and errors.
import assert from "node:assert/strict";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.env.BASE_URL, apiKey: process.env.API_KEY, maxRetries: 0 });
const { STORE: store, ASKED: asked, QUOTE: quote } = process.env;
const points = (text) => [...text]; // offsets count code points, as Python does
const cut = (text, start, end) => points(text).slice(start, end).join("");

const models = [];
for await (const model of client.models.list()) models.push(model.id);
assert(models.includes("footnote") && models.includes(`footnote:${store}`), models.join());

const messages = [{ role: "user", content: asked }];
const chat = await client.chat.completions.create({ model: `footnote:${store}`, messages });
const said = chat.choices[0].message;
const cited = said.annotations[0].url_citation;
assert.equal(cut(said.content, cited.start_index, cited.end_index), `[${cited.marker}]`);
assert(cited.verified && cited.quote.includes(quote) && cited.page_start === 1, JSON.stringify(cited));

const runner = client.chat.completions.stream({ model: `footnote:${store}`, messages, stream_options: { include_usage: true } });
const final = await runner.finalChatCompletion();
assert.equal(final.choices[0].message.content, said.content);
assert.deepEqual(final.choices[0].message.annotations, said.annotations);

const tools = [{ type: "file_search", vector_store_ids: [store] }];
const include = ["file_search_call.results"];
const response = await client.responses.create({ model: "footnote", input: asked, tools, include });
assert.equal(response.output_text, said.content);
const [search, message] = response.output;
const [found] = message.content[0].annotations;
assert.equal(found.type, "file_citation");
assert.equal(search.results[0].file_id, found.file_id);
assert(response.output_text.slice(found.index).startsWith(`[${found.marker}]`));

let text = "";
const kinds = [];
const stream = client.responses.stream({ model: "footnote", input: asked, tools, include });
for await (const event of stream) {
  kinds.push(event.type);
  if (event.type === "response.output_text.delta") text += event.delta;
}
const last = await stream.finalResponse();
assert.equal(kinds[0], "response.created");
assert.equal(kinds.at(-1), "response.completed");
assert.equal(text, response.output_text);
assert.equal(last.output_text, text);
assert.deepEqual(last.output[1].content[0].annotations, message.content[0].annotations);

const follows = await client.responses.create({ model: "footnote", input: "And when?", previous_response_id: response.id });
assert.equal((await client.responses.retrieve(follows.id)).previous_response_id, response.id);
const items = [];
for await (const item of client.responses.inputItems.list(response.id)) items.push(item.content[0].text);
assert.deepEqual(items, [asked]);
await client.responses.delete(follows.id);
await assert.rejects(client.responses.retrieve(follows.id), OpenAI.NotFoundError);

const vectors = await client.embeddings.create({ model: "footnote", input: ["a lamp", "a siren"] });
assert.deepEqual(vectors.data.map((each) => [each.index, each.embedding.length]), [[0, 384], [1, 384]]);

const many = { model: "footnote", messages, n: 2 };
await assert.rejects(client.chat.completions.create(many), (error) => error.status === 400 && error.param === "n");
