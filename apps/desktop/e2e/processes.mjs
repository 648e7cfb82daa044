// The processes of a run, each in a process group of its own, so that nothing outlives the run.

import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';

/** How long a helper may take to say that it is ready. */
const READY_MS = 60_000;

export class Processes {
  /** @type {import('node:child_process').ChildProcess[]} */
  #children = [];

  /**
   * @param {string} command
   * @param {string[]} args
   * @param {NodeJS.ProcessEnv} env
   */
  start(command, args, env) {
    const child = spawn(command, args, { env, detached: true, stdio: ['pipe', 'pipe', 'inherit'] });
    this.#children.push(child);
    return child;
  }

  /**
   * Starts a helper and returns its first line of output.
   *
   * @param {string} command
   * @param {string[]} args
   * @param {NodeJS.ProcessEnv} env
   * @returns {Promise<string>}
   */
  firstLine(command, args, env) {
    const child = this.start(command, args, env);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${command} said nothing within ${READY_MS / 1000} s`)), READY_MS);
      child.once('error', reject);
      child.once('exit', (code) => reject(new Error(`${command} ended with ${code} before it was ready`)));
      createInterface({ input: /** @type {import('node:stream').Readable} */ (child.stdout) }).once('line', (line) => {
        clearTimeout(timer);
        resolve(line);
      });
    });
  }

  /**
   * Starts a helper that answers lines with lines.
   *
   * @param {string} command
   * @param {string[]} args
   * @param {NodeJS.ProcessEnv} env
   */
  talk(command, args, env) {
    const child = this.start(command, args, env);
    const output = createInterface({ input: /** @type {import('node:stream').Readable} */ (child.stdout) });
    const lines = output[Symbol.asyncIterator]();
    const line = async () => {
      const late = new Promise((_, reject) => {
        setTimeout(() => reject(new Error(`${command} said nothing within ${READY_MS / 1000} s`)), READY_MS).unref();
      });
      const { value, done } = /** @type {IteratorResult<string>} */ (await Promise.race([lines.next(), late]));
      if (done) throw new Error(`${command} ended before it answered`);
      return value;
    };
    return {
      line,
      say: (/** @type {string} */ text) => child.stdin?.write(`${text}\n`),
      stop: () => kill(child),
    };
  }

  /**
   * Runs a program to its end, which has to be a good one.
   *
   * @param {string} command
   * @param {string[]} args
   * @param {NodeJS.ProcessEnv} env
   * @returns {Promise<void>}
   */
  run(command, args, env) {
    const child = this.start(command, args, env);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${command} did not end within ${READY_MS / 1000} s`)), READY_MS);
      child.once('error', reject);
      child.once('exit', (code) => {
        clearTimeout(timer);
        if (code === 0) resolve();
        else reject(new Error(`${command} ended with ${code}`));
      });
    });
  }

  stopAll() {
    for (const child of this.#children) kill(child);
  }
}

/** @param {import('node:child_process').ChildProcess} child */
function kill(child) {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It has ended already.
  }
}

/** A port that was free a moment ago, for a program that cannot choose one itself. */
export function freePort() {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = /** @type {import('node:net').AddressInfo} */ (probe.address());
      probe.close(() => resolve(port));
    });
  });
}

/**
 * Waits until a server answers.
 *
 * @param {string} url
 */
export async function untilAnswering(url) {
  const end = Date.now() + READY_MS;
  for (;;) {
    try {
      await fetch(url, { signal: AbortSignal.timeout(5_000) });
      return;
    } catch (error) {
      if (Date.now() > end) throw new Error(`${url} does not answer: ${error}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
