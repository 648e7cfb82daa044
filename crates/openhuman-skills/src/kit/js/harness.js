// The globals of a test file: `test`, `expect` and `sim`.
(function () {
  'use strict';
  const g = globalThis;
  const host = g.kithost;
  delete g.kithost;
  const define = (name, value) =>
    Object.defineProperty(g, name, { value, writable: false, configurable: true, enumerable: false });

  // Tests.
  const tests = [];
  const register = (mode) => (name, run) => {
    if (typeof name !== 'string' || !name.trim()) throw new TypeError('test(name, fn): the name must be a text');
    if (typeof run !== 'function') throw new TypeError(`test("${name}", fn): the second argument must be a function`);
    tests.push({ name, run, mode });
  };
  const test = register('run');
  test.only = register('only');
  test.skip = (name, run) => register('skip')(name, run ?? (() => {}));
  define('test', test);

  // Values as text, one line for each part, so that a difference is a line.
  const key = (name) => (/^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name));
  const format = (value, indent = '', seen = []) => {
    if (typeof value === 'string') return JSON.stringify(value);
    if (typeof value === 'bigint') return `${value}n`;
    if (typeof value === 'function') return `[function ${value.name || 'anonymous'}]`;
    if (typeof value !== 'object' || value === null) return Object.is(value, -0) ? '-0' : String(value);
    if (seen.includes(value)) return '[circular]';
    if (seen.length > 40) return '[deep]';
    if (value instanceof Date) return `Date(${Number.isNaN(value.getTime()) ? 'invalid' : value.toISOString()})`;
    if (value instanceof RegExp) return String(value);
    if (value instanceof Error) return `[${value.name}: ${value.message}]`;
    const inner = indent + '  ';
    const below = [...seen, value];
    const list = (open, parts, close) =>
      parts.length ? `${open}\n${parts.map((part) => inner + part).join(',\n')},\n${indent}${close}` : open + close;
    if (Array.isArray(value)) return list('[', Array.from(value, (item) => format(item, inner, below)), ']');
    if (ArrayBuffer.isView(value) && !(value instanceof DataView)) {
      return `${value.constructor.name}[${Array.from(value).join(', ')}]`;
    }
    if (value instanceof Map) {
      return list('Map {', Array.from(value, ([k, v]) => `${format(k, inner, below)} => ${format(v, inner, below)}`), '}');
    }
    if (value instanceof Set) return list('Set {', Array.from(value, (item) => format(item, inner, below)), '}');
    return list('{', Object.keys(value).sort().map((name) => `${key(name)}: ${format(value[name], inner, below)}`), '}');
  };

  const equal = (a, b, seen = []) => {
    if (Object.is(a, b)) return true;
    if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
    if (seen.some(([x, y]) => x === a && y === b)) return true;
    const below = [...seen, [a, b]];
    if (a instanceof Date || b instanceof Date) {
      return a instanceof Date && b instanceof Date && Object.is(a.getTime(), b.getTime());
    }
    if (Array.isArray(a) !== Array.isArray(b)) return false;
    if (a instanceof RegExp || a instanceof Error || a instanceof Map || a instanceof Set || ArrayBuffer.isView(a)) {
      return a.constructor === b.constructor && format(a) === format(b);
    }
    const names = Object.keys(a).filter((name) => a[name] !== undefined);
    const others = Object.keys(b).filter((name) => b[name] !== undefined);
    return names.length === others.length && names.every((name) => Object.hasOwn(b, name) && equal(a[name], b[name], below));
  };
  // Whether `value` has at least what `part` has.
  const covers = (value, part) => {
    if (typeof part !== 'object' || part === null || part instanceof Date) return equal(value, part);
    if (typeof value !== 'object' || value === null) return false;
    if (Array.isArray(part)) {
      return Array.isArray(value) && value.length === part.length && part.every((item, index) => covers(value[index], item));
    }
    return Object.keys(part).every((name) => covers(value[name], part[name]));
  };

  class AssertionError extends Error {
    constructor(message, expected, actual) {
      super(message);
      this.name = 'AssertionError';
      if (arguments.length > 1) Object.assign(this, { expected: format(expected), actual: format(actual) });
    }
  }
  const short = (value) => {
    const text = format(value).replace(/\s+/g, ' ');
    return text.length > 80 ? `${text.slice(0, 79)}…` : text;
  };
  const matchesError = (error, wanted) => {
    if (wanted === undefined) return true;
    const message = error instanceof Error ? error.message : String(error);
    if (wanted instanceof RegExp) return wanted.test(message);
    if (typeof wanted === 'function') return error instanceof wanted;
    return message.includes(String(wanted));
  };
  const matchers = (value, negated) => {
    const check = (ok, sentence, ...sides) => {
      if (Boolean(ok) !== negated) return;
      throw negated || !sides.length
        ? new AssertionError(`expected ${short(value)} ${negated ? 'not ' : ''}${sentence}`)
        : new AssertionError(`expected ${short(value)} ${sentence}`, ...sides);
    };
    return {
      toBe: (other) => check(Object.is(value, other), `to be ${short(other)}`, other, value),
      toEqual: (other) => check(equal(value, other), `to equal ${short(other)}`, other, value),
      toMatchObject: (part) => check(covers(value, part), `to have ${short(part)}`, part, value),
      toContain: (part) => {
        const within = typeof value === 'string' ? value.includes(part)
          : value && typeof value[Symbol.iterator] === 'function' ? Array.from(value).some((item) => equal(item, part))
          : false;
        check(within, `to contain ${short(part)}`);
      },
      toMatch: (pattern) => check(new RegExp(pattern).test(String(value)), `to match ${pattern}`),
      toThrow: (wanted) => {
        const how = wanted === undefined ? '' : ` ${wanted instanceof RegExp ? wanted : short(wanted)}`;
        const judge = (threw, error) => {
          const ok = threw && matchesError(error, wanted);
          if (ok !== negated) return;
          const found = threw ? `it threw ${short(error)}` : 'it did not throw';
          throw new AssertionError(`expected the function ${negated ? 'not ' : ''}to throw${how}, but ${found}`);
        };
        if (value && typeof value.then === 'function') return value.then(() => judge(false), (error) => judge(true, error));
        if (typeof value !== 'function') throw new TypeError('expect(fn).toThrow() needs a function or a promise');
        let result;
        try { result = value(); } catch (error) { return judge(true, error); }
        if (result && typeof result.then === 'function') return result.then(() => judge(false), (error) => judge(true, error));
        return judge(false);
      },
    };
  };
  define('expect', (value) => Object.assign(matchers(value, false), { not: matchers(value, true) }));

  // The simulated skill. Every step is one call of the host, which hands back requests that a function of the test
  // must answer.
  const answers = new Map();
  let nextAnswer = 0;
  let thrown = null;
  const reply = (ask) => {
    try {
      const value = answers.get(ask.function)(ask.request);
      if (value && typeof value.then === 'function') throw new TypeError('a function that answers a request must not be async');
      return asReply(value);
    } catch (error) {
      thrown ??= { error };
      return { error: 'the answer of the test threw' };
    }
  };
  const step = (command) => {
    let state = host.begin(command);
    while (state.ask) state = host.answer(reply(state.ask));
    if (thrown) {
      const { error } = thrown;
      thrown = null;
      throw error;
    }
    if (state.error !== undefined) {
      const error = new Error(state.error);
      error.name = 'SkillError';
      throw error;
    }
    return state.value;
  };

  const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
  const duration = (value) => {
    if (typeof value === 'number' && value >= 0) return Math.round(value);
    const text = String(value).trim();
    if (!/^(\d+(\.\d+)?\s*(ms|s|m|h|d)\s*)+$/.test(text)) {
      throw new TypeError(`${short(value)} is no duration; write milliseconds, or a text such as "90s" or "1h 30m"`);
    }
    return Math.round([...text.matchAll(/(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)/g)].reduce((sum, [, n, unit]) => sum + n * UNITS[unit], 0));
  };
  const REPLY = ['status', 'headers', 'body', 'json', 'delay', 'error'];
  const asReply = (value) => {
    if (value === undefined || value === null) return {};
    if (typeof value === 'string') return { body: value };
    if (typeof value === 'number') return { status: value };
    const unknown = Object.keys(value).find((name) => !REPLY.includes(name));
    if (unknown !== undefined) {
      throw new TypeError(`an answer has no '${unknown}'; it has ${REPLY.join(', ')}. For a JSON body write { json: ... }`);
    }
    if (value.body !== undefined && typeof value.body !== 'string') throw new TypeError('the body of an answer is a text; for JSON write { json: ... }');
    const headers = Object.fromEntries(Object.entries(value.headers ?? {}).map(([name, text]) => [name, String(text)]));
    return { ...value, headers, delay: value.delay === undefined ? undefined : duration(value.delay) };
  };
  const fromText = (text) => {
    try {
      const value = JSON.parse(text);
      return typeof value === 'object' && value !== null ? value : text;
    } catch { return text; }
  };
  const hook = (name, ...args) => step({ op: 'hook', name: String(name), args });
  const sim = {
    start: () => { step({ op: 'start' }); },
    stop: () => { step({ op: 'stop' }); },
    restart: () => { step({ op: 'stop' }); step({ op: 'start' }); },
    call: (tool, args = {}) => fromText(step({ op: 'call', tool: String(tool), args })),
    callText: (tool, args = {}) => step({ op: 'call', tool: String(tool), args }),
    event: (name, data = null) => {
      if (step({ op: 'event', name: String(name), data }) === 0) {
        throw new Error(`nobody got the event '${name}': the skill needs onServerEvent, and '${name}' in permissions.events`);
      }
    },
    hook,
    cron: (id) => hook('onCronTrigger', String(id)),
    rpc: (method, params = {}) => step({ op: 'rpc', method: String(method), params }),
    setup: (values) => {
      if (!Array.isArray(values)) throw new TypeError('sim.setup([...]) needs the values of each step');
      let result = step({ op: 'setup' });
      if (!result || !result.step) throw new Error('onSetupStart returned no { step }');
      let id = result.step.id;
      for (const entry of values) {
        result = step({ op: 'submit', step: id ?? null, values: entry });
        if (!result || result.status !== 'next') return result;
        id = result.nextStep && result.nextStep.id;
      }
      return result;
    },
    net: {
      on: (route, ...replies) => {
        const given = replies.length === 1 && Array.isArray(replies[0]) ? replies[0] : replies;
        if (given.length === 1 && typeof given[0] === 'function') {
          const id = ++nextAnswer;
          answers.set(id, given[0]);
          step({ op: 'on', route: String(route), function: id });
        } else {
          step({ op: 'on', route: String(route), replies: (given.length ? given : [{}]).map(asReply) });
        }
      },
    },
    clock: {
      now: () => step({ op: 'get', what: 'now' }),
      get iso() { return new Date(step({ op: 'get', what: 'now' })).toISOString(); },
      advance: (by) => { step({ op: 'advance', ms: duration(by) }); },
    },
    secrets: {
      set: (handle, to, value) => { step({ op: 'secret', handle: String(handle), to: String(to), value: String(value) }); },
    },
  };
  for (const what of ['state', 'logs', 'requests', 'notifications', 'tools', 'schedules', 'status']) {
    Object.defineProperty(sim, what, { get: () => step({ op: 'get', what }), enumerable: true });
  }
  define('sim', Object.freeze(sim));

  // What the runner calls.
  const fail = (error) => {
    if (!(error instanceof Error)) return { message: `it threw ${short(error)}`, stack: '' };
    const name = error instanceof AssertionError || error.name === 'SkillError' || error.name === 'Error' ? '' : `${error.name}: `;
    return { message: name + error.message, stack: String(error.stack ?? ''), expected: error.expected, actual: error.actual };
  };
  g.__skill = {
    default: {
      tools: [
        { name: 'list', execute: () => JSON.stringify(tests.map(({ name, mode }) => ({ name, mode }))) },
        {
          name: 'run',
          execute: async ({ index }) => {
            answers.clear();
            thrown = null;
            host.reset();
            try {
              await tests[index].run();
              return 'null';
            } catch (error) { return JSON.stringify(fail(error)); }
          },
        },
      ],
    },
  };
})
