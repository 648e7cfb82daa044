// What a run of the window needs around it: a model, a backend, skills, a home of its own, and a server nobody may reach.

import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { freePort, untilAnswering } from './processes.mjs';

/** @typedef {import('./processes.mjs').Processes} Processes */

export const PROMPT = 'Draw a lot for me, please.';
export const SLOW_PROMPT = 'Recite something slowly.';
export const LOT = `lot-${randomBytes(8).toString('hex')}`;
export const MODEL = 'scripted-desktop';

const ORACLE = `globalThis.__skill = { default: { tools: [{
  name: 'draw',
  description: 'Draws a lot',
  inputSchema: { type: 'object', properties: { sides: { type: 'number' } } },
  execute: () => ${JSON.stringify(LOT)},
}] } };\n`;

/** A skill that does not start by itself, has to be set up, and asks for something. */
const POSTBOX = {
  id: 'postbox',
  name: 'Postbox',
  description: 'Watches a box.',
  permissions: { notify: true },
  setup: { required: true, label: 'Open the box' },
};

const POSTBOX_CODE = `globalThis.__skill = { default: {
  tools: [],
  onSetupStart: () => ({ step: { id: 'box', title: 'Which box', fields: [{ name: 'number', type: 'number', label: 'Box', required: true }] } }),
  onSetupSubmit: ({ values }) => values.number === 7
    ? { status: 'complete', message: 'Box 7 is yours.' }
    : { status: 'error', errors: [{ field: 'number', message: 'There is no box ' + values.number + '.' }] },
  onListOptions: () => ({ options: [{ name: 'bell', type: 'boolean', label: 'Ring a bell', value: state.get('bell') === true }] }),
  onSetOption: ({ name, value }) => { state.set(name, value); },
} };\n`;

/**
 * @param {string} dir
 * @param {Record<string, unknown>} manifest
 * @param {string} code
 */
function writePackage(dir, manifest, code) {
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, 'manifest.json'), JSON.stringify({ version: '1.0.0', runtime: 'quickjs', entry: 'index.js', ...manifest }));
  writeFileSync(join(dir, 'index.js'), code);
}

/**
 * A registry of one skill, as a folder.
 *
 * @param {string} dir
 * @returns {string} the path of its index
 */
function writeRegistry(dir) {
  const lamp = { id: 'lamp', name: 'Lamp', permissions: { webhooks: true } };
  writePackage(join(dir, 'lamp'), lamp, 'globalThis.__skill = { default: { tools: [] } };\n');
  const entry = {
    id: 'lamp', name: 'Lamp', version: '1.0.0', category: 'core', download_url: 'lamp/index.js', manifest_url: 'lamp/manifest.json',
  };
  const index = join(dir, 'registry.json');
  writeFileSync(index, JSON.stringify({ version: 1, skills: { core: [entry], third_party: [] } }));
  return index;
}

/**
 * A server that nobody may reach from the window.
 *
 * @typedef {{ url: string, hits: () => number, server: import('node:http').Server }} Trap
 * @returns {Promise<Trap>}
 */
export function startTrap() {
  let hits = 0;
  const server = createServer((_request, response) => {
    hits += 1;
    response.setHeader('access-control-allow-origin', '*').end('reached');
  });
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
      resolve({ url: `http://127.0.0.1:${port}/`, hits: () => hits, server });
    });
  });
}

/**
 * Starts the scripted model; its answer is composed from what the tool returned.
 *
 * @param {Processes} processes
 * @param {string} cli
 * @param {string} stage
 * @returns {Promise<string>} the base URL
 */
export async function startModel(processes, cli, stage) {
  const before = { user_contains: [PROMPT], tool_results: false, tools: ['oracle__draw'] };
  const script = {
    model: MODEL,
    rules: [
      { when: before, reply: { calls: { calls: [{ name: 'oracle__draw', arguments: { sides: 6 } }] } } },
      {
        when: { user_contains: [PROMPT], tool_results: true },
        reply: { text: [{ template: 'You drew **{{tool:oracle__draw}}**. Keep it in a safe place.' }] },
      },
      {
        when: { user_contains: [SLOW_PROMPT] },
        reply: { text: [{ template: 'Word after word, line after line, this text never seems to end. '.repeat(40) }] },
        fault: { slow_drip: { millis: 200 } },
      },
    ],
  };
  const file = join(stage, 'script.json');
  writeFileSync(file, JSON.stringify(script));
  const line = await processes.firstLine(cli, ['dev', 'llm', '--script', file], process.env);
  return JSON.parse(line).base_url;
}

/**
 * A backend that runs, with the login token that it handed out.
 *
 * @typedef {{ url: string, login_token: string, stop: () => void, link: (code: string) => Promise<string> }} Backend
 */

/**
 * Starts a backend with the scripted model. `link` asks it for the login link of a device's code.
 *
 * @param {Processes} processes
 * @param {string} cli
 * @param {NodeJS.ProcessEnv} env
 * @param {string} address
 * @returns {Promise<Backend>}
 */
export async function startBackend(processes, cli, env, address) {
  const running = processes.talk(cli, ['backend', 'run', '--listen', address, '--json', '--answer-codes'], env);
  const { url, login_token } = JSON.parse(await running.line());
  const link = async (/** @type {string} */ code) => {
    running.say(code);
    return JSON.parse(await running.line()).login_link;
  };
  return { url, login_token, stop: running.stop, link };
}

/**
 * The app's environment: folders of its own, one skill and the scripted model.
 *
 * @param {string} stage
 * @param {string} baseUrl
 */
export function environment(stage, baseUrl) {
  const skills = join(stage, 'skills');
  writePackage(join(skills, 'oracle'), { id: 'oracle', name: 'Oracle', auto_start: true }, ORACLE);
  writePackage(join(skills, 'postbox'), POSTBOX, POSTBOX_CODE);
  const registry = writeRegistry(join(stage, 'registry'));
  /** @type {NodeJS.ProcessEnv} */
  const env = {
    ...process.env,
    OPENHUMAN_HOME: join(stage, 'home'),
    OPENHUMAN_SKILLS_DIR: skills,
    SKILLS_REGISTRY_URL: registry,
    OPENAI_BASE_URL: baseUrl,
    OPENAI_API_KEY: 'scripted',
    OPENAI_MODEL: MODEL,
    XDG_DATA_HOME: join(stage, 'data'),
    XDG_CACHE_HOME: join(stage, 'cache'),
    XDG_CONFIG_HOME: join(stage, 'config'),
    TAURI_WEBVIEW_AUTOMATION: 'true',
  };
  // With these set, WebKit never answers a request for a screenshot.
  delete env.WEBKIT_DISABLE_DMABUF_RENDERER;
  delete env.WEBKIT_DISABLE_COMPOSITING_MODE;
  return env;
}

/**
 * @param {Processes} processes
 * @param {NodeJS.ProcessEnv} env
 */
export async function startDriver(processes, env) {
  const port = await freePort();
  processes.start('WebKitWebDriver', [`--port=${port}`, '--host=127.0.0.1'], env);
  const driver = `http://127.0.0.1:${port}`;
  await untilAnswering(`${driver}/status`);
  return driver;
}
