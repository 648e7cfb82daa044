// The memory, as a user looks into it: what is found and why, what is at hand, and what is forgotten.

import { accessible, contains, equal, matches, step } from './checks.mjs';
import { place } from './server.mjs';
import { ENTER } from './webdriver.mjs';

/** @typedef {import('./webdriver.mjs').Session} Session */

const HABIT = 'Lots are never drawn on Sundays';

/**
 * @param {Session} session
 * @param {string} label
 */
async function tab(session, label) {
  await session.run(`[...document.querySelectorAll('main nav[aria-label=Memory] button')]
    .find((button) => button.innerText.trim() === arguments[0]).click();`, label);
}

/**
 * @param {Session} session
 * @param {{ title: string, text: string }} note a note that is remembered
 * @param {(name: string) => Promise<void>} picture
 */
export async function lookIntoMemory(session, note, picture) {
  await step('find a passage and say why', async () => {
    await place(session, 'Memory');
    await session.type('main input[name=query]', `How often are lots drawn?${ENTER}`);
    await session.waitFor('the passages', 'return !!document.querySelector("main [data-hit]")');
    const hit = await session.run(`const hit = [...document.querySelectorAll('main [data-hit]')]
      .find((one) => one.innerText.includes(arguments[0]));
      return hit && { text: hit.innerText, why: hit.querySelector('[data-why]').innerText, related: hit.dataset.related };`, note.title);
    if (!hit) throw new Error('the note was not found');
    contains('the passage', hit.text, note.text);
    matches('the reason', hit.why, /meaning is .*of your words occurs?/);
    equal('whether it has to do with the question', hit.related, 'true');
    await accessible(session);
    await picture('memory');
  });
  await step('have something at hand', async () => {
    await tab(session, 'At hand');
    await session.waitFor('the form', 'return !!document.querySelector("main input[name=text]")');
    await session.type('main input[name=text]', HABIT + ENTER);
    await session.waitFor('what was added', `return !!document.querySelector(\`[data-item="\${arguments[0]}"]\`)`, HABIT);
    await session.click(`[data-item="${HABIT}"] button`);
    await session.waitFor('the pin', `return !!document.querySelector('[data-item][data-pinned=true]')`);
    await accessible(session);
  });
  await step('forget a document', async () => {
    await tab(session, 'Documents');
    const row = `[...document.querySelectorAll('main [data-document]')].find((row) => row.innerText.includes(arguments[0]))`;
    await session.waitFor('the note', `return !!${row}`, note.title);
    await session.run(`${row}.querySelector('button').click();`, note.title);
    await session.waitFor('the question', `return ${row}.innerText.includes('Forget it for good')`, note.title);
    await accessible(session);
    await session.run(`${row}.querySelector('button').click();`, note.title);
    await session.waitFor('the end of it', `return !${row}`, note.title);
  });
  await step('forget words everywhere', async () => {
    await tab(session, 'Forget');
    await session.waitFor('the form', 'return !!document.querySelector("main select[name=what]")');
    await session.type('main input[name=text]', HABIT + ENTER);
    await session.waitFor('the question', `const yes = [...document.querySelectorAll('main button')]
      .find((button) => button.innerText.trim() === 'Yes, forget it');
      if (yes) yes.click();
      return !!yes;`);
    await session.waitFor('the report', 'return !!document.querySelector("[data-forgotten]")');
    const told = await session.run('return document.querySelector("[data-forgotten]").innerText');
    contains('the report', told, 'finds it nowhere');
    await accessible(session);
    await tab(session, 'At hand');
    await session.waitFor('nothing at hand', 'return !!document.querySelector("main input[name=text]") && !document.querySelector("[data-item]")');
    await place(session, 'Chat');
  });
}
