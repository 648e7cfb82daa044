// The ways into the vault, as a user goes them.

import { accessible, contains, heading, step } from './checks.mjs';
import { ENTER } from './webdriver.mjs';

/** @typedef {import('./webdriver.mjs').Session} Session */

/** Wrong passphrases after which the wait must have been seen. */
const MOST = 12;

/**
 * Creates the vault, and copies the end of its recovery key from the screen as a user does from paper.
 *
 * @param {Session} session
 * @param {string} passphrase
 */
export async function createVault(session, passphrase) {
  await step('ask for a vault on the first run', async () => {
    await session.waitFor('the first screen', heading('Create your vault'));
    await accessible(session);
  });
  await step('create the vault and show its recovery key once', async () => {
    await session.type('input[name=passphrase]', passphrase);
    await session.type('input[name=repeat]', passphrase + ENTER);
    await session.waitFor('the recovery key', heading('Keep your recovery key'));
    await accessible(session);
    /** @type {string} */
    const key = await session.run('return document.querySelector("[data-recovery-key]").innerText');
    const groups = key.split(/[^0-9A-Z]+/).filter(Boolean);
    if (groups.length !== 9) throw new Error(`a recovery key of ${groups.length} groups`);
    await session.type('input[name=group]', `WRONG${ENTER}`);
    await session.waitFor('the objection', 'return !!document.querySelector("[role=alert]")');
    await session.clear('input[name=group]');
    await session.type('input[name=group]', `${groups[8]}${ENTER}`);
    await session.waitFor('the chat', 'return !!document.querySelector("main textarea")');
    const left = await session.run('return document.documentElement.innerText.includes(arguments[0])', groups[0]);
    if (left) throw new Error('the recovery key is still on the page');
  });
}

/**
 * Unlocks the vault: after a wrong passphrase, after too many of them with the wait that follows, and rightly.
 *
 * @param {Session} session
 * @param {string} passphrase
 */
export async function unlock(session, passphrase) {
  const attempt = async (/** @type {string} */ text) => {
    await session.clear('input[name=passphrase]');
    await session.type('input[name=passphrase]', text + ENTER);
  };
  await step('refuse a wrong passphrase', async () => {
    await session.waitFor('the unlock screen', heading('Unlock your vault'));
    await accessible(session);
    await attempt(`not the ${passphrase}`);
    await session.waitFor('the reason', `const alert = document.querySelector('[role=alert]');
      return alert && alert.innerText.includes('does not open the vault');`);
  });
  await step('let the user wait after too many of them, and count down', async () => {
    const button = `document.querySelector('button[type=submit]')`;
    const waits = () => session.run('return !!document.querySelector("[data-wait]")');
    // Each wait is twice the one before; the first ones may be over before the next passphrase is typed.
    for (let tries = 0; tries < MOST && !(await waits()); tries += 1) {
      await session.waitFor('a quiet form', `return !${button}.disabled`);
      await attempt(`not the ${passphrase} either`);
      await session.waitFor('an answer', `return !${button}.innerText.startsWith('Unlocking')`);
    }
    contains('the button', await session.run(`return ${button}.innerText`), 'Wait');
    await accessible(session);
    await session.waitFor('the end of the wait', `return !${button}.disabled && ${button}.innerText === 'Unlock'`);
  });
  await step('unlock with the right one', async () => {
    await attempt(passphrase);
    await session.waitFor('the chat', 'return !!document.querySelector("main textarea")');
  });
}

/**
 * Wrong passphrases, then a new start of the program: it counts down before anybody has typed. Each wait is twice the one
 * before, so one of them outlasts the start, however slow this machine is.
 *
 * @param {() => Promise<Session>} open
 * @param {string} passphrase
 * @param {(session: Session) => Promise<void>} picture
 * @returns {Promise<Session>} the window, unlocked
 */
export async function waitOnFreshStart(open, passphrase, picture) {
  const button = `document.querySelector('button[type=submit]')`;
  let session = await open();
  await step('count down on a fresh start', async () => {
    for (let tries = 0; ; tries += 1) {
      await session.waitFor('the unlock screen', heading('Unlock your vault'));
      // What the core knows is shown before anything was typed.
      const waits = await session.run('return !!document.querySelector("[data-wait]")');
      if (waits && tries > 0) break;
      if (tries > MOST) throw new Error('no wait was shown on a fresh start');
      for (let wrong = 0; wrong < 2; wrong += 1) {
        await session.waitFor('a quiet form', `return !${button}.disabled`);
        await session.clear('input[name=passphrase]');
        await session.type('input[name=passphrase]', `not the ${passphrase}${ENTER}`);
        await session.waitFor('an answer', `return !${button}.innerText.startsWith('Unlocking')`);
      }
      await session.close();
      session = await open();
      await session.runAsync('await new Promise((resolve) => setTimeout(resolve, 500))');
    }
    contains('the button', await session.run(`return ${button}.innerText`), 'Wait');
    await accessible(session);
    await picture(session);
  });
  await step('unlock after the wait', async () => {
    await session.waitFor('the end of the wait', `return !${button}.disabled && ${button}.innerText === 'Unlock'`);
    await session.type('input[name=passphrase]', passphrase + ENTER);
    await session.waitFor('the chat', 'return !!document.querySelector("main textarea")');
  });
  return session;
}
