// Drives the HTTP server with the official TypeScript SDK: tools, resources, prompts, completion, progress.
//
//   DEMO_TOKEN=... node http.mjs <url>
import assert from "node:assert/strict";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { ResourceUpdatedNotificationSchema } from "@modelcontextprotocol/sdk/types.js";

const url = new URL(process.argv[2]);
const headers = { Authorization: `Bearer ${process.env.DEMO_TOKEN}` };
const connect = async (requestInit) => {
  const client = new Client({ name: "openhuman-tests", version: "0.0.0" });
  await client.connect(new StreamableHTTPClientTransport(url, { requestInit }));
  return client;
};
await assert.rejects(connect({}), "without the token nobody gets in");
await assert.rejects(connect({ headers: { ...headers, Origin: "http://evil.example" } }), "nor from a web page");

const client = await connect({ headers });
assert.equal(client.getServerVersion().name, "openhuman-http-echo");
const { tools } = await client.listTools();
assert.deepEqual(tools.slice(0, 2).map((tool) => tool.name), ["demo__echo", "demo__grow"]);
const text = "Grüße, 世界 😀";
assert.deepEqual((await client.callTool({ name: "demo__echo", arguments: { text } })).content, [{ type: "text", text }]);
const wrong = await client.callTool({ name: "demo__echo", arguments: { text: 1 } });
assert.equal(wrong.isError, true);
assert.equal(wrong.content[0].text, "Invalid arguments for 'demo__echo': the argument 'text' must be string, not number");
assert.deepEqual((await client.callTool({ name: "demo__count", arguments: {} })).structuredContent, { n: 3 });

const steps = [];
await client.callTool({ name: "demo__work", arguments: {} }, undefined, { onprogress: (step) => steps.push(step) });
assert.deepEqual(steps.map((step) => [step.progress, step.total, step.message]), [
  [1, 3, "step 1"],
  [2, 3, "step 2"],
  [3, 3, "step 3"],
]);

const updated = new Promise((resolve) =>
  client.setNotificationHandler(ResourceUpdatedNotificationSchema, (note) => resolve(note.params.uri)),
);
await client.subscribeResource({ uri: "demo://note/1" });
await client.callTool({ name: "demo__grow", arguments: {} });
assert.equal(await updated, "demo://note/1");

const { resources } = await client.listResources();
assert.deepEqual(resources.map((resource) => resource.uri), ["demo://note/1"]);
assert.equal((await client.readResource({ uri: "demo://note/1" })).contents[0].text, "Buy milk");
await assert.rejects(client.readResource({ uri: "demo://note/2" }));
assert.equal((await client.listResourceTemplates()).resourceTemplates[0].uriTemplate, "demo://note/{number}");

assert.deepEqual((await client.listPrompts()).prompts.map((prompt) => prompt.name), ["summary"]);
const filled = await client.getPrompt({ name: "summary", arguments: { topic: "tides" } });
assert.equal(filled.messages[0].content.text, "Summarise tides");
await assert.rejects(client.getPrompt({ name: "summary", arguments: {} }));
const completed = await client.complete({
  ref: { type: "ref/prompt", name: "summary" },
  argument: { name: "topic", value: "ga" },
});
assert.deepEqual(completed.completion.values, ["gardens", "gas"]);

const many = await Promise.all(
  Array.from({ length: 200 }, (_, n) => client.callTool({ name: "demo__echo", arguments: { text: `n${n}` } })),
);
many.forEach((result, n) => assert.equal(result.content[0].text, `n${n}`));
await client.close();
console.log(JSON.stringify({ ok: true, calls: many.length }));
