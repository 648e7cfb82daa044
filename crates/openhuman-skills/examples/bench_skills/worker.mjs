// What a node worker thread costs that runs the same small skill. The text of the skill arrives on standard input.
import { readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';

const COUNT = 12;
const host = `
const { parentPort } = require('node:worker_threads');
const kept = new Map();
globalThis.state = { get: (k) => kept.get(k) ?? null, set: (k, v) => { kept.set(k, v); }, setPartial: (o) => { for (const k of Object.keys(o)) kept.set(k, o[k]); } };
globalThis.net = {}; globalThis.db = {}; globalThis.cron = {};
`;
const after = `
const skill = globalThis.__skill.default;
skill.init(); skill.start({});
parentPort.on('message', (n) => parentPort.postMessage(skill.tools[0].execute({ n })));
parentPort.postMessage('ready');
`;
const code = host + readFileSync(0, 'utf8') + after;
const next = (worker) => new Promise((resolve) => { worker.once('message', resolve); });
const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];

const workers = [];
const start = async () => {
  const begin = process.hrtime.bigint();
  const worker = new Worker(code, { eval: true, execArgv: [] });
  worker.on('error', (error) => { throw error; });
  await next(worker);
  workers.push(worker);
  return Number(process.hrtime.bigint() - begin) / 1e6;
};
await start(); // Warms up.
const before = process.memoryUsage().rss;
const starts = [];
for (let i = 0; i < COUNT; i++) starts.push(await start());
const grown = process.memoryUsage().rss - before;
const trips = [];
for (let i = 0; i < 2000; i++) {
  const worker = workers[i % workers.length];
  const begin = process.hrtime.bigint();
  const answer = next(worker);
  worker.postMessage(i);
  if (await answer !== String(i + 1)) throw new Error('a wrong answer');
  trips.push(Number(process.hrtime.bigint() - begin) / 1e3);
}
console.log(JSON.stringify({
  node_version: process.version,
  node_worker_start_ms: median(starts),
  node_worker_rss_kb: grown / 1024 / COUNT,
  node_worker_rtt_us: median(trips),
}));
await Promise.all(workers.map((worker) => worker.terminate()));
