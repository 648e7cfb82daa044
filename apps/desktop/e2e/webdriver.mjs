// A W3C WebDriver client for one session: plain HTTP, a time limit on every call.

/** How long one call may take. A busy machine draws slowly. */
const CALL_MS = 60_000;

/** How long `waitFor` keeps asking. */
const WAIT_MS = 60_000;

/** The key under which WebDriver names an element. */
const ELEMENT = 'element-6066-11e4-a52e-4f735466cecf';

/** The code point of the Enter key. */
export const ENTER = '\uE007';

export class Session {
  /** @type {string} */
  #base;

  /** @param {string} base the address of the session */
  constructor(base) {
    this.#base = base;
  }

  /**
   * Starts a binary and drives its first web view.
   *
   * @param {string} driver the address of WebKitWebDriver
   * @param {string} binary the absolute path of the app
   */
  static async open(driver, binary) {
    const browser = { 'webkitgtk:browserOptions': { binary, args: [] } };
    const created = await request('POST', `${driver}/session`, { capabilities: { alwaysMatch: browser } });
    return new Session(`${driver}/session/${created.sessionId}`);
  }

  close() {
    return request('DELETE', this.#base);
  }

  /** @returns {Promise<string>} */
  url() {
    return request('GET', `${this.#base}/url`);
  }

  /**
   * Runs the body of a function in the page.
   *
   * @param {string} script
   * @param {...unknown} args
   */
  run(script, ...args) {
    return request('POST', `${this.#base}/execute/sync`, { script, args });
  }

  /**
   * Runs the body of an async function in the page and awaits its result.
   *
   * @param {string} script
   * @param {...unknown} args
   */
  async runAsync(script, ...args) {
    const wrapped = `
      const done = arguments[arguments.length - 1];
      const args = [...arguments].slice(0, -1);
      (async function () { ${script} }).apply(null, args).then(
        (value) => done({ value: value === undefined ? null : value }),
        (error) => done({ error: String((error && error.message) || error) }),
      );`;
    const outcome = await request('POST', `${this.#base}/execute/async`, { script: wrapped, args });
    if ('error' in outcome) throw new Error(`in the page: ${outcome.error}`);
    return outcome.value;
  }

  /**
   * Types into the element that a CSS selector finds.
   *
   * @param {string} selector
   * @param {string} text
   */
  async type(selector, text) {
    await request('POST', `${this.#base}/element/${await this.#find(selector)}/value`, { text });
  }

  /** @param {string} selector */
  async click(selector) {
    await request('POST', `${this.#base}/element/${await this.#find(selector)}/click`, {});
  }

  /** @param {string} selector */
  async clear(selector) {
    await request('POST', `${this.#base}/element/${await this.#find(selector)}/clear`, {});
  }

  /**
   * Asks until the script returns something true, and returns it.
   *
   * @param {string} what
   * @param {string} script
   * @param {...unknown} args
   */
  async waitFor(what, script, ...args) {
    const end = Date.now() + WAIT_MS;
    for (;;) {
      const value = await this.run(script, ...args);
      if (value) return value;
      if (Date.now() > end) {
        const text = await this.run('return document.body.innerText');
        throw new Error(`${what} did not come within ${WAIT_MS / 1000} s. The window shows:\n${text}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** A picture of the window as PNG, after what is due was drawn. */
  async screenshot() {
    await this.runAsync('await new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r)))');
    return Buffer.from(await request('GET', `${this.#base}/screenshot`), 'base64');
  }

  /** @param {string} selector */
  async #find(selector) {
    const found = await request('POST', `${this.#base}/element`, { using: 'css selector', value: selector });
    return found[ELEMENT];
  }
}

/**
 * @param {string} method
 * @param {string} url
 * @param {unknown} [body]
 * @returns {Promise<any>}
 */
async function request(method, url, body) {
  const response = await fetch(url, {
    method,
    signal: AbortSignal.timeout(CALL_MS),
    headers: { 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const { value } = /** @type {{ value: any }} */ (await response.json());
  if (!response.ok) throw new Error(`${method} ${new URL(url).pathname}: ${value.error}: ${value.message}`);
  return value;
}
