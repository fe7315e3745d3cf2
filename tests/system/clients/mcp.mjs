// The MCP server, by the official client for TypeScript and by the protocol's own suite, which needs Node 22.
import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import http from "node:http";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const SCENARIOS = ["server-initialize", "ping", "tools-list", "resources-list", "prompts-list", "dns-rebinding-protection"];
const { API_KEY: key, ASKED: question, QUOTE: quote } = process.env;
const server = new URL(process.env.BASE_URL);
const authorization = `Bearer ${key}`;

const client = new Client({ name: "test", version: "1" });
const requestInit = { headers: { Authorization: authorization } };
await client.connect(new StreamableHTTPClientTransport(new URL("/mcp", server), { requestInit }));
const { tools } = await client.listTools();
assert(tools.some((each) => each.name === "ask"), JSON.stringify(tools));
const steps = [];
const call = { name: "ask", arguments: { question } };
const answer = await client.callTool(call, undefined, { onprogress: ({ progress }) => steps.push(progress) });
const [cited] = answer.structuredContent.citations;
assert(cited.verified && cited.quote.includes(quote) && cited.url.startsWith(server.origin), JSON.stringify(cited));
assert.deepEqual(JSON.parse(answer.content[0].text), answer.structuredContent);
assert.deepEqual(steps, [...steps.keys()].map((step) => step + 1));
assert(steps.length > 1);
const [found] = (await client.callTool({ name: "search", arguments: { query: question } })).structuredContent.results;
const page = await client.callTool({ name: "fetch", arguments: { id: found.id } });
assert(page.structuredContent.text.includes(quote));
await client.close();

/** Adds the key, which the suite cannot send. */
const proxy = http.createServer((request, response) => {
  const headers = { ...request.headers, authorization };
  const options = { host: server.hostname, port: server.port, path: request.url, method: request.method, headers };
  const passed = http.request(options, (answered) => {
    response.writeHead(answered.statusCode, answered.headers);
    answered.pipe(response);
  });
  passed.on("error", () => response.destroy());
  response.on("close", () => passed.destroy());
  request.pipe(passed);
});
await new Promise((resolve) => proxy.listen(0, "127.0.0.1", resolve));
const url = `http://localhost:${proxy.address().port}/mcp`;
for (const scenario of SCENARIOS) await suite(["server", "--url", url, "--scenario", scenario]);
proxy.close();

/** Runs it in a process of its own, so that the proxy answers meanwhile. */
function suite(options) {
  return new Promise((resolve, reject) => {
    const given = ["node_modules/@modelcontextprotocol/conformance/dist/index.js", ...options];
    execFile(node(), given, (error, told) => (error ? reject(new Error(told)) : resolve()));
  });
}

function node() {
  if (Number(process.versions.node.split(".")[0]) >= 22) return process.execPath;
  const name = `node-${process.platform}-${process.arch}`;
  const path = `node_modules/${name}/bin/node`;
  node.installed ??= execFileSync("npm", ["install", "--no-save", "--no-audit", "--no-fund", "--silent", `${name}@22`]);
  return path;
}
