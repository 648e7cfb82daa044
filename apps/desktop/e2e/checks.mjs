// What the steps of a run compare, and how they are told.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

/** @typedef {import('./webdriver.mjs').Session} Session */

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** @param {Session} session */
export async function accessible(session) {
  await session.run(`${AXE}; window.axe = axe;`);
  const violations = await session.runAsync(`
    const { violations } = await window.axe.run(document);
    return violations.map((v) => v.id + ': ' + v.nodes.map((node) => node.target.join(' ')).join(', '));`);
  equal('the violations that axe finds', violations.join('; '), '');
}

/** @param {string} text */
export function heading(text) {
  return `const heading = document.querySelector('h1'); return heading && heading.innerText === ${JSON.stringify(text)};`;
}

/**
 * Runs one step and prints how long it took.
 *
 * @template T
 * @param {string} name
 * @param {(session: Session) => Promise<T>} action
 * @param {Session} [session]
 * @returns {Promise<T>}
 */
export async function step(name, action, session) {
  const started = performance.now();
  try {
    const result = await action(/** @type {Session} */ (session));
    console.log(`ok   ${name} (${Math.round(performance.now() - started)} ms)`);
    return result;
  } catch (error) {
    console.log(`FAIL ${name}`);
    throw error;
  }
}

/**
 * @param {string} what
 * @param {unknown} actual
 * @param {unknown} expected
 */
export function equal(what, actual, expected) {
  if (actual !== expected) throw new Error(`${what}: expected ${JSON.stringify(expected)}, got ${JSON.stringify(actual)}`);
}

/**
 * @param {string} what
 * @param {string} text
 * @param {string} part
 */
export function contains(what, text, part) {
  if (!text.includes(part)) throw new Error(`${what} does not contain ${JSON.stringify(part)}: ${JSON.stringify(text)}`);
}

/**
 * @param {string} what
 * @param {string} text
 * @param {RegExp} pattern
 */
export function matches(what, text, pattern) {
  if (!pattern.test(text)) throw new Error(`${what} does not match ${pattern}: ${JSON.stringify(text)}`);
}

/**
 * @param {string} what
 * @param {() => void} check
 */
export function fails(what, check) {
  try {
    check();
  } catch {
    return;
  }
  throw new Error(`${what} was not noticed`);
}
