// The server, as a user reaches it: by token and by link, and what is shown while the connection is lost.

import { accessible, contains, equal, matches, step } from './checks.mjs';
import { ENTER } from './webdriver.mjs';

/** @typedef {import('./webdriver.mjs').Session} Session */
/** @typedef {import('./stage.mjs').Backend} Backend */

/**
 * @param {Session} session
 * @param {string} label
 */
export async function place(session, label) {
  await session.run(`[...document.querySelectorAll('nav[aria-label=Places] button')]
    .find((button) => button.innerText.trim() === arguments[0]).click();`, label);
}

/**
 * @param {Session} session
 * @param {string} label
 */
async function press(session, label) {
  await session.waitFor(`the button ${label}`, `const button = [...document.querySelectorAll('main button')]
    .find((button) => button.innerText.trim() === arguments[0] && !button.disabled);
    if (button) button.click();
    return !!button;`, label);
}

/**
 * @param {Session} session
 * @param {string} state
 */
export async function connection(session, state) {
  const script = 'return !!document.querySelector(arguments[0])';
  await session.waitFor(`the connection state ${state}`, script, `[data-connection=${state}]`);
}

/**
 * Logs in with a token, after one that is refused.
 *
 * @param {Session} session
 * @param {Backend} backend
 */
export async function connectWithToken(session, backend) {
  await step('say why a login fails', async () => {
    await place(session, 'Server');
    await press(session, 'With a login token');
    await session.type('main input[name=url]', backend.url);
    await session.type('main input[name=token]', `oht1_wrong${ENTER}`);
    await session.waitFor('the reason', `return !!document.querySelector('main form [role=alert]')`);
    equal('the state', await session.run('return document.querySelector("[data-link-state]").dataset.linkState'), 'error');
    await accessible(session);
  });
  await step('connect to a server', async () => {
    await session.clear('main input[name=token]');
    await session.type('main input[name=token]', backend.login_token + ENTER);
    await connection(session, 'connected');
    const pill = await session.run('return document.querySelector("[data-connection]").textContent');
    contains('the header', pill, 'Connected');
    await session.waitFor('the login that is kept', `return !!document.querySelector('[data-session]')`);
    await accessible(session);
  });
}

/**
 * Kills the backend: the window shows the reason and counts down to the next try. A new one at the same address does not
 * know the session: that is shown as well. The link of another device is refused; the right one, handed over by a second
 * start of the program as a browser does it, logs in.
 *
 * @param {Session} session
 * @param {{ current: Backend, restart: () => Promise<Backend> }} backends
 * @param {(link: string) => Promise<void>} openLink
 * @param {(name: string) => Promise<void>} picture
 */
export async function loseAndLogIn(session, backends, openLink, picture) {
  const state = () => session.run('return document.querySelector("[data-link-state]").innerText');
  const reason = () => session.run('const told = document.querySelector("[data-link-reason]"); return told ? told.innerText : "";');
  await step('count down to the next try when the server is gone', async () => {
    await place(session, 'Server');
    backends.current.stop();
    await connection(session, 'reconnecting');
    await session.waitFor('a countdown', `return /Reconnecting in \\d+ s/.test(document.querySelector('[data-link-state]').innerText)`);
    const first = await session.run('return document.querySelector("[data-link-state]").innerText');
    matches('the state', first, /Reconnecting in \d+ s/);
    await session.waitFor('the next second', `return document.querySelector('[data-link-state]').innerText !== arguments[0]`, first);
    if (!(await reason())) throw new Error('no reason is shown');
    await accessible(session);
    await picture('reconnecting');
  });
  await step('say that the session ended', async () => {
    backends.current = await backends.restart();
    await session.waitFor('the refusal', `const told = document.querySelector('[data-link-reason]');
      return told && told.innerText.includes('log in again');`);
    contains('the state', await state(), 'Reconnecting');
    await press(session, 'Stop connecting');
    await connection(session, 'disconnected');
  });
  await step('refuse a link that nobody here asked for', async () => {
    await openLink(await backends.current.link('A'.repeat(43)));
    await session.waitFor('the refusal', `const told = document.querySelector('[data-opened-link=refused]');
      return told && told.innerText.includes('not asked to log in');`);
    await accessible(session);
    await session.click('[data-opened-link] button[aria-label=Close]');
    await connection(session, 'disconnected');
  });
  await step('log in with the link that answers the code of this device', async () => {
    await press(session, 'With a link');
    await session.clear('main input[name=url]');
    await session.type('main input[name=url]', backends.current.url + ENTER);
    await session.waitFor('the code', 'return !!document.querySelector("[data-challenge]")');
    /** @type {string} */
    const code = await session.run('return document.querySelector("[data-challenge]").innerText.trim()');
    matches('the code', code, /^[A-Za-z0-9_-]{43}$/);
    await accessible(session);
    await picture('login');
    await openLink(await backends.current.link(code));
    await session.waitFor('the news', 'return !!document.querySelector("[data-opened-link=ok]")');
    await connection(session, 'connected');
    const page = await session.run('return document.documentElement.innerHTML');
    if (page.includes('oht1_')) throw new Error('a login token is on the page');
    await session.click('[data-opened-link] button[aria-label=Close]');
    await accessible(session);
  });
}

/**
 * After a restart of the program the link is there again, without a login; then it is ended, and the login with it.
 *
 * @param {Session} session
 */
export async function stillConnected(session) {
  await step('be connected again without a login', async () => {
    await connection(session, 'connected');
  });
  await step('disconnect and log out', async () => {
    await place(session, 'Server');
    await press(session, 'Disconnect');
    await connection(session, 'disconnected');
    await press(session, 'Log out');
    await session.waitFor('no login', `return !document.querySelector('[data-session]')`);
    await place(session, 'Chat');
  });
}
