// Reads a JSON array of snippets and writes one line of JSON for each.
import { readFileSync } from 'node:fs';

const evaluate = (0, eval)(readFileSync(new URL('./evaluate.js', import.meta.url), 'utf8'));
process.on('uncaughtException', () => {});
process.on('unhandledRejection', () => {});
process.removeAllListeners('warning');
process.on('warning', () => {});
const lines = [];
for (const snippet of JSON.parse(readFileSync(0, 'utf8'))) lines.push(await evaluate(snippet));
process.stdout.write(`${lines.join('\n')}\n`, () => process.exit(0));
