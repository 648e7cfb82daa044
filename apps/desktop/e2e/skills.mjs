// A skill that does not start by itself, as a user brings it to life: switched on, set up, allowed, and watched.

import { accessible, contains, equal, step } from './checks.mjs';

/** @typedef {import('./webdriver.mjs').Session} Session */

/** The row or the head of the skill. */
const POSTBOX = 'main [data-skill=postbox]';

/** @param {Session} session */
export async function setUpSkills(session) {
  await step('list the skills with what they do', async () => {
    await press(session, 'header', 'Skills');
    await session.waitFor('the skill', `return !!document.querySelector('${POSTBOX}')`);
    equal('the skill that was not started', await condition(session), 'needs_setup');
    await accessible(session);
  });
  await step('switch a skill on', async () => {
    await session.click(`${POSTBOX} [role=switch]`);
    await session.waitFor('the switch', `return document.querySelector('${POSTBOX} [role=switch]').ariaChecked === 'true'`);
    await session.click(`${POSTBOX} button:not([role=switch])`);
    await session.waitFor('its page', `return !!document.querySelector('main h2') && document.querySelector('main h2').innerText === 'Postbox'`);
  });
  await step('set it up, with what it objects to', async () => {
    await press(session, 'main', 'Open the box');
    await session.waitFor('the first step', `return !!document.querySelector('[data-step="1"]')`);
    await session.type('input[name=number]', '12');
    await press(session, '[data-step]', 'Continue');
    await session.waitFor('the objection', `return document.querySelector('[data-step]').innerText.includes('There is no box 12.')`);
    await accessible(session);
    await session.clear('input[name=number]');
    await session.type('input[name=number]', '7');
    await press(session, '[data-step]', 'Continue');
    await session.waitFor('the end', `return document.querySelector('main').innerText.includes('Box 7 is yours.')`);
    await session.waitFor('the state', `return document.querySelector('${POSTBOX}').dataset.condition === 'running'`);
  });
  await step('allow what it asks for, and one more host', async () => {
    await session.waitFor('the permissions', `return document.querySelector('main').innerText.includes('show notifications')`);
    await press(session, 'main', 'Allow this');
    await session.waitFor('the consent', `return !!document.querySelector('[data-allowed=true]')`);
    await press(session, 'main', 'Allow another host');
    await session.type('input[name=host]', 'parcels.example');
    await press(session, 'main', 'Allow the host');
    await session.waitFor('the host', `const list = document.querySelector('[aria-label="Added hosts"]');
      return list && list.innerText.includes('parcels.example');`);
    await accessible(session);
  });
  await step('set an option', async () => {
    await session.click('main section input[type=checkbox]');
    await session.waitFor('the option', `return [...document.querySelectorAll('main section input[type=checkbox]')].some((box) => box.checked)`);
  });
  await step('show what was sent, and go back', async () => {
    await press(session, 'main', 'All skills');
    await press(session, 'main', 'What was sent');
    await session.waitFor('the ledger', `return document.querySelector('main').innerText.includes('Nothing left this computer.')`);
    await press(session, 'main', 'Registry');
    await session.waitFor('the registry', `return !!document.querySelector('[data-entry=lamp]')`);
    contains('the registry', await session.run(`return document.querySelector('[data-entry=lamp]').innerText`), 'Lamp');
  });
  await step('install a skill of the registry after its permissions were shown, and remove it', async () => {
    await session.click('[data-entry=lamp] button');
    await session.waitFor('the plan', `const plan = document.querySelector('[data-plan=unsigned]');
      return plan && plan.innerText.includes('receive requests from outside');`);
    await accessible(session);
    await press(session, '[data-plan]', 'Allow and install');
    await session.waitFor('its page', `return !!document.querySelector('main [data-skill=lamp]')`);
    await press(session, 'main', 'Remove Lamp…');
    await press(session, 'main', 'Remove it');
    await session.waitFor('the list', `return !!document.querySelector('${POSTBOX}') && !document.querySelector('[data-skill=lamp]')`);
    await press(session, 'header', 'Chat');
  });
}

/** @param {Session} session */
function condition(session) {
  return session.run(`return document.querySelector('${POSTBOX}').dataset.condition`);
}

/**
 * Clicks the button that says this.
 *
 * @param {Session} session
 * @param {string} within
 * @param {string} text
 */
async function press(session, within, text) {
  const find = `[...document.querySelectorAll(arguments[0] + ' button')].find((button) => button.innerText.trim() === arguments[1] && !button.disabled)`;
  await session.waitFor(`the button ${text}`, `return !!${find}`, within, text);
  await session.run(`${find}.click();`, within, text);
}
