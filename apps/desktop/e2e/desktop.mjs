// Drives the real window: node e2e/desktop.mjs <desktop binary> <cli binary> <screenshot png>
//
// The app runs as a user starts it, with a home of its own, one skill written for this run and a scripted model
// behind a real HTTP endpoint. The skill's tool returns a random value; the run passes when that value came through
// the skill, the core and the IPC into the answer on the screen. Then a second skill, which does not start by itself, is
// switched on, set up and allowed; the server goes away and comes back, and a login link is handed over by a second start;
// the vault is unlocked again after too many wrong passphrases.

import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { accessible, contains, equal, fails, matches, step } from './checks.mjs';
import { lookIntoMemory } from './memory.mjs';
import { Processes } from './processes.mjs';
import { connectWithToken, loseAndLogIn, stillConnected } from './server.mjs';
import { setUpSkills } from './skills.mjs';
import { LOT, MODEL, PROMPT, SLOW_PROMPT, environment, startBackend, startDriver, startModel, startTrap } from './stage.mjs';
import { createVault, unlock, waitOnFreshStart } from './vault.mjs';
import { ENTER, Session } from './webdriver.mjs';

/** @typedef {Awaited<ReturnType<typeof startTrap>>} Trap */
/** @typedef {import('./stage.mjs').Backend} Backend */

const NOTE = { title: 'House rules', text: 'Lots are drawn with six sides, and only once a day.' };
const PASSPHRASE = `passphrase ${randomBytes(6).toString('hex')}`;

/**
 * What the window must show for the prompt. Throws when it does not.
 *
 * @param {Turn} turn
 * @param {string} lot
 */
function assertTurn(turn, lot) {
  assertAnswer(turn, lot);
  matches('the time in the card', turn.card.text, /\d m?s/);
  contains('the sources', turn.sources, NOTE.title);
}

/**
 * The part of it that does not depend on where the turn ran.
 *
 * @param {Turn} turn
 * @param {string} lot
 */
function assertAnswer(turn, lot) {
  equal('the state of the answer', turn.status, 'done');
  contains('the answer', turn.answer, lot);
  equal('the tool of the card', turn.card.name, 'oracle__draw');
  equal('the state of the card', turn.card.status, 'succeeded');
  contains('the card', turn.card.text, lot);
  contains('the arguments in the card', turn.card.text, '"sides": 6');
}

/**
 * @typedef {{ status: string, answer: string, sources: string, card: { name: string, status: string, text: string } }} Turn
 */

// The answer is the text outside the cards: the value must stand in both.
const READ_TURN = `function readTurn() {
  const answers = document.querySelectorAll('[data-role=assistant]');
  const answer = answers[answers.length - 1];
  const card = answer && answer.querySelector('[data-tool-card]');
  return {
    status: answer ? answer.dataset.status : '',
    answer: answer ? [...answer.querySelectorAll('.prose')].map((part) => part.textContent).join('\\n') : '',
    sources: answer && answer.querySelector('[data-sources]') ? answer.querySelector('[data-sources]').textContent : '',
    card: {
      name: card ? card.dataset.toolCard : '',
      status: card ? card.dataset.status : '',
      text: card ? card.textContent : '',
    },
  };
}`;

async function main() {
  const [desktop, cli, picture] = process.argv.slice(2).map((path) => resolve(path));
  if (!desktop || !cli || !picture) {
    throw new Error('usage: node e2e/desktop.mjs <desktop binary> <cli binary> <screenshot png>');
  }
  const processes = new Processes();
  const stage = mkdtempSync(join(tmpdir(), 'openhuman-desktop-'));
  const trap = await startTrap();
  /** @type {Session | undefined} */
  let session;
  try {
    const env = environment(stage, await startModel(processes, cli, stage));
    const backends = { current: await startBackend(processes, cli, env, '127.0.0.1:0'), restart: () => startBackend(processes, cli, env, new URL(backends.current.url).host) };
    // As a browser does it: the program is started with the link, and hands it to the one that runs.
    const openLink = (/** @type {string} */ link) => processes.run(desktop, [link], env);
    const driver = await startDriver(processes, env);

    session = await step('open the window', () => Session.open(driver, desktop));
    await firstRun(session);
    await remember(session);
    await chat(session);
    await lookIntoMemory(session, NOTE, (name) => pictureOf(/** @type {Session} */ (session), picture, name));
    await stop(session);
    await server(session, backends.current);
    await step('take a picture', async (window) => writeFileSync(picture, await window.screenshot()), session);
    await loseAndLogIn(session, backends, openLink, (name) => pictureOf(/** @type {Session} */ (session), picture, name));
    await pictureOf(session, picture, 'server');
    await guards(session, trap);
    await setUpSkills(session);
    await reload(session);
    await step('close the window', (window) => window.close(), session);

    session = await step('open it again', () => Session.open(driver, desktop));
    await unlock(session, PASSPHRASE);
    await stillSwitchedOn(session);
    await stillConnected(session);
    await session.close();

    session = await waitOnFreshStart(() => Session.open(driver, desktop), PASSPHRASE, async (shown) => pictureOf(shown, picture, 'wait'));
    await session.close();
    session = undefined;
    console.log(JSON.stringify({ ok: true, lot: LOT, screenshot: picture }));
  } finally {
    if (session) await session.close().catch(() => undefined);
    processes.stopAll();
    trap.server.close();
    rmSync(stage, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  }
}

/**
 * A picture beside the main one.
 *
 * @param {Session} session
 * @param {string} picture
 * @param {string} name
 */
async function pictureOf(session, picture, name) {
  writeFileSync(picture.replace(/(\.png)?$/, `-${name}.png`), await session.screenshot());
}

/** @param {Session} session */
async function firstRun(session) {
  await createVault(session, PASSPHRASE);
  await step('show the connection, the model and the skill', async () => {
    await session.waitFor('the skill', `return document.querySelector('aside').innerText.includes('Oracle')`);
    const pill = await session.run('return document.querySelector("[data-connection]").textContent');
    contains('the header', pill, 'Disconnected');
    const aside = await session.run('return document.querySelector("aside").innerText');
    for (const part of [MODEL, 'Oracle', 'draw', 'documents']) contains('the side panel', aside, part);
  });
}

/** @param {Session} session */
async function remember(session) {
  await step('add a note to the memory', async () => {
    await session.run('document.querySelector("input[name=title]").closest("details").open = true;');
    await session.type('input[name=title]', NOTE.title);
    await session.type('textarea[name=text]', NOTE.text);
    await session.click('aside form button[type=submit]');
    await session.waitFor('the new counter', `const counter = document.querySelector('aside dd');
      return counter && counter.textContent === '1';`);
  });
}

/** @param {Session} session */
async function chat(session) {
  const turn = await step('answer a prompt with a value from the tool', async () => {
    await session.type('main textarea', PROMPT + ENTER);
    await session.waitFor('the answer', `${READ_TURN}
      return !['', 'running'].includes(readTurn().status);`);
    /** @type {Turn} */
    const shown = await session.run(`${READ_TURN} return readTurn();`);
    assertTurn(shown, LOT);
    return shown;
  });
  await step('notice another value', async () => {
    const other = `lot-${randomBytes(8).toString('hex')}`;
    const inAnswerOnly = { ...turn, card: { ...turn.card, text: turn.card.text.replaceAll(LOT, other) } };
    const inCardOnly = { ...turn, answer: turn.answer.replaceAll(LOT, other) };
    fails('another value', () => assertTurn(turn, other));
    fails('a card with another value', () => assertTurn(inAnswerOnly, LOT));
    fails('an answer with another value', () => assertTurn(inCardOnly, LOT));
  });
  await step('pass axe with every part open', async () => {
    await session.run('for (const part of document.querySelectorAll("details")) part.open = true;');
    await accessible(session);
    await session.run('for (const part of document.querySelectorAll("aside details")) part.open = false;');
  });
}

/** @param {Session} session */
async function stop(session) {
  await step('stop an answer', async () => {
    await newChat(session);
    await session.type('main textarea', SLOW_PROMPT + ENTER);
    await session.waitFor('the first words', `${READ_TURN}
      const turn = readTurn();
      return turn.status === 'running' && turn.answer.length > 0;`);
    await session.click('button[aria-label=Stop]');
    await session.waitFor('the end', 'return !!document.querySelector("[data-role=assistant][data-status=stopped]")');
    await session.run(`document.querySelector('nav[aria-label=Chats] li:last-child button').click();`);
    await session.waitFor('the first chat', `return document.body.innerText.includes(arguments[0])`, PROMPT);
  });
}

/**
 * Logs in at a backend. Its model runs the turn there and reaches the skill here through the socket.
 *
 * @param {Session} session
 * @param {Backend} backend
 */
async function server(session, backend) {
  await connectWithToken(session, backend);
  await step('answer through the server with a value from the tool here', async () => {
    await newChat(session);
    await session.type('main textarea', PROMPT + ENTER);
    await session.waitFor('the answer', `${READ_TURN}
      return !['', 'running'].includes(readTurn().status);`);
    assertAnswer(await session.run(`${READ_TURN} return readTurn();`), LOT);
    await accessible(session);
  });
}

/** @param {Session} session */
async function newChat(session) {
  await session.run(`[...document.querySelectorAll('button')].find((b) => b.textContent === 'New chat').click();`);
}

/**
 * @param {Session} session
 * @param {Trap} trap
 */
async function guards(session, trap) {
  await step('block inline scripts', async () => {
    const blocked = await session.runAsync(`
      const violation = new Promise((resolve) =>
        document.addEventListener('securitypolicyviolation', (event) => resolve(event.effectiveDirective), { once: true }));
      const script = document.createElement('script');
      script.textContent = 'window.inlineScriptRan = true';
      document.body.append(script);
      return [window.inlineScriptRan === true, await Promise.race([violation, new Promise((r) => setTimeout(r, 5000, 'none'))])];`);
    equal('an inline script', JSON.stringify(blocked), '[false,"script-src-elem"]');
  });
  await step('block the network', async () => {
    await fetch(trap.url, { signal: AbortSignal.timeout(5_000) });
    equal('requests of this program', trap.hits(), 1);
    const outcome = await session.runAsync(
      `return await fetch(args[0], { mode: 'no-cors' }).then(() => 'sent', (error) => error.name);`,
      trap.url,
    );
    equal('fetch in the window', outcome, 'TypeError');
    await session.runAsync(
      `const image = new Image();
       await new Promise((resolve) => { image.onload = image.onerror = resolve; image.src = args[0]; });`,
      trap.url,
    );
    await session.run('location.href = arguments[0]; window.open(arguments[0]);', trap.url);
    await session.runAsync('await new Promise((resolve) => setTimeout(resolve, 300))');
    contains('the address of the window', await session.url(), 'tauri://localhost');
    equal('requests that came through', trap.hits(), 1);
  });
  await step('grant nothing but the door', async () => {
    equal('window.__TAURI__', await session.run('return typeof window.__TAURI__'), 'undefined');
    const invoke = (/** @type {string} */ command, /** @type {unknown} */ args) =>
      session.runAsync(
        `return await window.__TAURI_INTERNALS__.invoke(args[0], args[1]).then(
           (value) => 'granted: ' + JSON.stringify(value), (error) => error.message || String(error));`,
        command,
        args,
      );
    const rpc = (/** @type {string} */ method) => invoke('core_rpc', { method, params: {} });
    contains('a method of the list', await rpc('openhuman.app_state_snapshot'), 'granted: {');
    contains('another method', await rpc('openhuman.skills_call_tool'), 'may not call');
    contains('a method that does not exist', await rpc('shell.exec'), 'may not call');
    contains('a system command', await invoke('plugin:window|set_title', { label: 'main', value: 'x' }), 'not allowed');
  });
}

/** @param {Session} session */
async function reload(session) {
  await step('go on after a reload', async () => {
    await session.run('window.beforeReload = true; location.reload();');
    await session.waitFor('the chat', 'return !window.beforeReload && !!document.querySelector("main textarea")');
    contains('the side panel', await session.run('return document.querySelector("aside").innerText'), 'Oracle');
  });
}

/** @param {Session} session */
async function stillSwitchedOn(session) {
  await step('find the skill running that was switched on', async () => {
    await session.waitFor('the skill', `const text = document.querySelector('aside').innerText;
      return text.includes('Postbox') && text.includes('Oracle');`);
    const state = await session.run(`return [...document.querySelectorAll('aside li')]
      .find((item) => item.querySelector('h3')?.innerText === 'Postbox').innerText;`);
    contains('the skill', state, 'running');
  });
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
