// Drives a stdio server with the official TypeScript SDK: list, call, a failing call, list_changed.
//
//   node sdk.mjs <stdio_echo binary>
import assert from "node:assert/strict";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { ToolListChangedNotificationSchema } from "@modelcontextprotocol/sdk/types.js";

const [command, ...args] = process.argv.slice(2);
const client = new Client({ name: "openhuman-tests", version: "0.0.0" });
let changed;
const announced = new Promise((resolve) => (changed = resolve));
client.setNotificationHandler(ToolListChangedNotificationSchema, () => changed());

await client.connect(new StdioClientTransport({ command, args }));
assert.equal(client.getServerVersion().name, "openhuman-stdio-echo");
assert.deepEqual((await client.listTools()).tools.map((tool) => tool.name), ["demo__echo", "demo__grow"]);

const text = "Grüße, 世界 😀";
const echoed = await client.callTool({ name: "demo__echo", arguments: { text } });
assert.deepEqual(echoed.content, [{ type: "text", text }]);
assert.ok(!echoed.isError);

const failed = await client.callTool({ name: "demo__missing", arguments: {} });
assert.equal(failed.isError, true);
assert.equal(failed.content[0].text, "Tool execution failed: Tool 'missing' not found");

const grown = await client.callTool({ name: "demo__grow", arguments: {} });
assert.deepEqual(grown.structuredContent, { tools: 3 });
await announced;
assert.equal((await client.listTools()).tools.length, 3);

const many = await Promise.all(
  Array.from({ length: 500 }, (_, n) => client.callTool({ name: "demo__echo", arguments: { text: `n${n}` } })),
);
many.forEach((result, n) => assert.equal(result.content[0].text, `n${n}`));
await client.close();
console.log(JSON.stringify({ ok: true, calls: many.length }));
