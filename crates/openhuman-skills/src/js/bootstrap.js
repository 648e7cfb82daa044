(function (host) {
  'use strict';
  const g = globalThis;
  const { parse, stringify } = JSON;
  const text = (value) => String(value).toWellFormed();
  const parsed = (json) => (json === undefined || json === null ? null : parse(json));
  const define = (name, value) =>
    Object.defineProperty(g, name, { value, writable: true, configurable: true, enumerable: false });
  for (const name of ['SharedArrayBuffer', 'Atomics', 'WebAssembly']) delete g[name];
  define('window', g);
  define('self', g);
  define('global', g);
  define('__skillId', host.skillId);

  // Where in the skill's own script an error arose, innermost first: no frames of this file, of the engine, or of
  // text that was evaluated or parsed.
  const frames = (error, most) => {
    try {
      const foreign = (line) => line.includes('(openhuman:') || line.includes('<input>:') || line.endsWith('(native)');
      return String(error.stack ?? '').split('\n').map((line) => line.trimEnd())
        .filter((line) => line.trimStart().startsWith('at ') && !foreign(line))
        .slice(0, most).map((line) => '\n' + line).join('');
    } catch { return ''; }
  };

  // Logging.
  const show = (value) => {
    if (typeof value === 'string') return value;
    if (value instanceof Error) return `${value.name}: ${value.message}${frames(value, 10)}`;
    if (typeof value === 'object' && value !== null) {
      try { return stringify(value) ?? String(value); } catch { /* cyclic */ }
    }
    try { return String(value); } catch { return '[unprintable]'; }
  };
  const logger = (level) => (...args) => { host.log(level, text(args.map(show).join(' '))); };
  const console = { log: logger('info'), info: logger('info'), warn: logger('warn'), error: logger('error'), debug: logger('debug'), trace: logger('debug') };
  define('console', console);
  define('log', console);

  // Timers. The host keeps the time, this map keeps the functions.
  const timers = new Map();
  let nextTimer = 0;
  const arm = (repeat) => (callback, delay, ...args) => {
    if (typeof callback !== 'function') throw new TypeError('a timer needs a function');
    const id = ++nextTimer;
    host.timerSet(id, Number(delay) || 0, repeat);
    timers.set(id, { callback, args, repeat });
    return id;
  };
  const disarm = (id) => { if (timers.delete(id)) host.timerClear(id); };
  define('setTimeout', arm(false));
  define('setInterval', arm(true));
  define('clearTimeout', disarm);
  define('clearInterval', disarm);
  define('sleep', (ms) => host.sleep(Number(ms) || 0));

  // Network.
  const request = (url, options) => stringify({ url: String(url), options: options ?? null });
  define('net', { fetch: (url, options) => parse(host.fetch(request(url, options))) });
  const operations = new Map();
  let nextOperation = 0;
  class Headers {
    #map;
    constructor(map) { this.#map = map; }
    get(name) {
      const value = this.#map[String(name).toLowerCase()];
      return value === undefined ? null : Array.isArray(value) ? value.join(', ') : value;
    }
    has(name) { return this.get(name) !== null; }
    *[Symbol.iterator]() { for (const name of Object.keys(this.#map)) yield [name, this.get(name)]; }
    entries() { return this[Symbol.iterator](); }
    keys() { return Object.keys(this.#map)[Symbol.iterator](); }
    forEach(visit) { for (const [name, value] of this) visit(value, name, this); }
  }
  const response = (answer) => ({
    status: answer.status, statusText: answer.statusText, ok: answer.ok, url: answer.url,
    headers: new Headers(answer.headers),
    text: async () => answer.body,
    json: async () => parse(answer.body),
  });
  define('fetch', (url, options) => new Promise((resolve, reject) => {
    const id = ++nextOperation;
    host.fetchStart(id, request(url, options));
    operations.set(id, { resolve: (json) => resolve(response(parse(json))), reject });
  }));

  // Storage.
  if (host.hasDb) {
    const single = (rows) => (rows.length ? rows[0] : null);
    define('db', {
      exec: (sql, params) => host.dbExec(String(sql), params),
      get: (sql, params) => single(parse(host.dbQuery(String(sql), params, true))),
      all: (sql, params) => parse(host.dbQuery(String(sql), params, false)),
      kvGet: (key) => parsed(host.kvGet(String(key))),
      kvSet: (key, value) => { host.kvSet(String(key), stringify(value) ?? 'null'); },
    });
    define('cron', {
      register: (id, expression) => { host.cronRegister(String(id), String(expression)); return true; },
      unregister: (id) => host.cronUnregister(String(id)),
      list: () => parse(host.cronList()),
    });
  }
  const state = {
    get: (key) => parsed(host.stateGet(String(key))),
    set: (key, value) => { host.stateSet(String(key), stringify(value) ?? 'null'); },
    setPartial: (values) => { for (const key of Object.keys(values)) state.set(key, values[key]); },
    delete: (key) => { host.stateDelete(String(key)); },
    keys: () => parse(host.stateKeys()),
  };
  define('state', state);
  define('store', state);

  // The machine.
  const platform = {
    os: () => host.os,
    env: (key) => host.env(String(key)),
    notify: (title, body) => { host.notify(text(title), body === undefined || body === null ? '' : text(body)); },
  };
  define('platform', platform);
  define('tauri', platform);

  // Text, bytes, randomness.
  const bytesOf = (data) => {
    if (data === undefined) return new Uint8Array(0);
    if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    return new Uint8Array(data);
  };
  define('TextEncoder', class TextEncoder {
    get encoding() { return 'utf-8'; }
    encode(input) { return host.utf8Encode(input === undefined ? '' : text(input)); }
  });
  define('TextDecoder', class TextDecoder {
    #fatal;
    constructor(label = 'utf-8', options) {
      if (!/^\s*(utf-?8|unicode-1-1-utf-8)\s*$/i.test(label)) throw new RangeError(`the encoding ${label} is not supported`);
      this.#fatal = Boolean(options && options.fatal);
    }
    get encoding() { return 'utf-8'; }
    get fatal() { return this.#fatal; }
    decode(data) { return host.utf8Decode(bytesOf(data), this.#fatal); }
  });
  const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  define('crypto', {
    getRandomValues: (view) => {
      if (!ArrayBuffer.isView(view) || view instanceof Float32Array || view instanceof Float64Array || view instanceof DataView) {
        throw new TypeError('getRandomValues needs an integer typed array');
      }
      bytesOf(view).set(host.random(view.byteLength));
      return view;
    },
    randomUUID: () => {
      const bytes = host.random(16);
      bytes[6] = (bytes[6] & 0x0f) | 0x40;
      bytes[8] = (bytes[8] & 0x3f) | 0x80;
      const all = hex(bytes);
      return `${all.slice(0, 8)}-${all.slice(8, 12)}-${all.slice(12, 16)}-${all.slice(16, 20)}-${all.slice(20)}`;
    },
  });
  const clone = (value, seen) => {
    if (typeof value === 'function' || typeof value === 'symbol') throw new TypeError('a function or symbol cannot be cloned');
    if (typeof value !== 'object' || value === null) return value;
    if (seen.has(value)) return seen.get(value);
    const keep = (copy) => { seen.set(value, copy); return copy; };
    if (value instanceof Date) return keep(new Date(value.getTime()));
    if (value instanceof RegExp) return keep(new RegExp(value.source, value.flags));
    if (value instanceof ArrayBuffer) return keep(value.slice(0));
    if (ArrayBuffer.isView(value)) {
      const buffer = clone(value.buffer, seen);
      return keep(value instanceof DataView ? new DataView(buffer, value.byteOffset, value.byteLength) : new value.constructor(buffer, value.byteOffset, value.length));
    }
    if (value instanceof Map) {
      const copy = keep(new Map());
      for (const [key, item] of value) copy.set(clone(key, seen), clone(item, seen));
      return copy;
    }
    if (value instanceof Set) {
      const copy = keep(new Set());
      for (const item of value) copy.add(clone(item, seen));
      return copy;
    }
    if (value instanceof Promise || value instanceof WeakMap || value instanceof WeakSet) throw new TypeError('this object cannot be cloned');
    if (value instanceof Error) {
      const copy = keep(new Error(value.message));
      copy.name = value.name;
      copy.stack = value.stack;
      return copy;
    }
    const copy = keep(Array.isArray(value) ? new Array(value.length) : {});
    for (const key of Object.keys(value)) copy[key] = clone(value[key], seen);
    return copy;
  };
  define('structuredClone', (value) => clone(value, new Map()));

  // What the host adds.
  for (const { name, functions } of parse(host.modules)) {
    const module = {};
    for (const fn of functions) {
      module[fn] = (...args) => parse(host.module(name, fn, stringify(args)));
    }
    define(name, module);
  }

  // Calls from the host.
  const bundle = () => (g.__skill && g.__skill.default) || g.__skill || g;
  const hookOf = (skill, name) =>
    typeof skill[name] === 'function' ? skill[name] : typeof g[name] === 'function' ? g[name] : undefined;
  const toolsOf = () => {
    const skill = bundle();
    const tools = Array.isArray(skill.tools) ? skill.tools : Array.isArray(g.tools) ? g.tools : [];
    return tools.filter((tool) => tool && typeof tool.name === 'string' && typeof tool.execute === 'function');
  };
  const failure = (error) => {
    if (error instanceof Error) {
      return text((error.name === 'Error' ? '' : `${error.name}: `) + error.message + frames(error, 2));
    }
    return text(show(error));
  };
  const asText = (value) => {
    if (value === undefined || value === null) return 'null';
    if (typeof value === 'object') return stringify(value) ?? 'null';
    return text(value);
  };
  const asJson = (value) => stringify(value) ?? 'null';
  const settle = async (id, promise, format) => {
    let value;
    try { value = format(await promise); } catch (error) { host.settled(id, 'rejected', failure(error)); return; }
    host.settled(id, 'ok', value);
  };
  const run = (id, format, produce) => {
    let value;
    try {
      value = produce();
      if (value !== null && typeof value === 'object' && typeof value.then === 'function') {
        settle(id, value, format);
        return;
      }
      value = format(value);
    } catch (error) { host.settled(id, 'threw', failure(error)); return; }
    host.settled(id, 'ok', value);
  };
  const HOOKS = ['init', 'start', 'stop', 'onCronTrigger', 'onServerEvent'];
  return (kind, id, name, payload) => {
    switch (kind) {
      case 'tool': {
        const tool = toolsOf().find((candidate) => candidate.name === name);
        if (tool) run(id, asText, () => tool.execute(parse(payload)));
        else host.settled(id, 'missing', name);
        return;
      }
      case 'hook': {
        const skill = bundle();
        const hook = hookOf(skill, name);
        if (hook) run(id, asJson, () => hook.apply(skill, parse(payload)));
        else host.settled(id, 'ok', 'null');
        return;
      }
      case 'describe': {
        run(id, asJson, () => ({
          defined: Boolean(g.__skill) || g.tools !== undefined || HOOKS.some((hook) => typeof g[hook] === 'function'),
          hooks: HOOKS.filter((hook) => hookOf(bundle(), hook)),
          tools: toolsOf().map((tool) => ({
            name: text(tool.name), description: text(tool.description ?? ''),
            inputSchema: tool.inputSchema ?? tool.input_schema ?? {},
          })),
        }));
        return;
      }
      case 'timer': {
        const timer = timers.get(id);
        if (!timer) return;
        if (!timer.repeat) timers.delete(id);
        try {
          const value = timer.callback.apply(g, timer.args);
          if (value && typeof value.then === 'function') value.then(undefined, (error) => console.error('timer:', error));
        } catch (error) { console.error('timer:', error); }
        return;
      }
      case 'settle': {
        const operation = operations.get(id);
        if (!operation) return;
        operations.delete(id);
        if (name === 'ok') operation.resolve(payload);
        else operation.reject(new TypeError(payload));
        return;
      }
    }
  };
})
