// The OpenAI Agents SDK: an agent with a file search, streamed and not, and its next turn.
import assert from "node:assert/strict";
import { Agent, fileSearchTool, OpenAIResponsesModel, run, setTracingDisabled } from "@openai/agents";
import OpenAI from "openai";

setTracingDisabled(true);
const { STORE: store, ASKED: asked, QUOTE: quote } = process.env;
const client = new OpenAI({ baseURL: process.env.BASE_URL, apiKey: process.env.API_KEY });
const tools = [fileSearchTool([store], { includeSearchResults: true })];
const agent = new Agent({ name: "reader", instructions: "Answer.", model: new OpenAIResponsesModel(client, "footnote"), tools });

const made = await run(agent, asked);
assert(made.finalOutput.includes(quote), made.finalOutput);

const streamed = await run(agent, asked, { stream: true });
let text = "";
for await (const piece of streamed.toTextStream()) text += piece;
await streamed.completed;
assert.equal(text, made.finalOutput);

const next = await run(agent, "And when?", { previousResponseId: made.lastResponseId });
assert(next.finalOutput.includes("1874"), next.finalOutput);
const whole = await run(agent, [...made.history, { role: "user", content: "And when?" }]);
assert.equal(whole.finalOutput, next.finalOutput);
