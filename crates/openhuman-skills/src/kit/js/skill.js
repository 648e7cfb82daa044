// Prepares a simulated skill: time that the simulator keeps, and chance that is the same in every run.
(function (op) {
  'use strict';
  const g = globalThis;
  const RealDate = g.Date;
  const now = op('kit.look');
  const hidden = (target, name, value) =>
    Object.defineProperty(target, name, { value, writable: true, configurable: true, enumerable: false });

  function Date(...args) {
    if (!new.target) return new RealDate(now()).toString();
    return Reflect.construct(RealDate, args.length ? args : [now()], new.target === Date ? RealDate : new.target);
  }
  Date.prototype = RealDate.prototype;
  hidden(RealDate.prototype, 'constructor', Date);
  for (const name of ['parse', 'UTC']) hidden(Date, name, RealDate[name]);
  hidden(Date, 'now', now);
  Object.defineProperty(Date, 'length', { value: 7, configurable: true });
  hidden(g, 'Date', Date);

  const origin = now();
  try {
    if (typeof g.performance === 'object' && g.performance) {
      hidden(g.performance, 'now', () => now() - origin);
      Object.defineProperty(g.performance, 'timeOrigin', { value: origin, configurable: true });
    }
  } catch { /* an engine whose performance cannot be changed keeps its own */ }

  // Mulberry32.
  let seed = 0x2f6e2b1;
  const random = () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  hidden(Math, 'random', random);
  if (g.crypto) {
    const real = g.crypto.getRandomValues;
    hidden(g.crypto, 'getRandomValues', (view) => {
      // The real one says what is wrong with the argument.
      real.call(g.crypto, view);
      const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
      for (let i = 0; i < bytes.length; i++) bytes[i] = random() * 256;
      return view;
    });
    hidden(g.crypto, 'randomUUID', () => {
      const hex = () => Math.floor(random() * 16).toString(16);
      return 'xxxxxxxx-xxxx-4xxx-8xxx-xxxxxxxxxxxx'.replace(/x/g, hex);
    });
  }

  // What the checks want to know; nothing here can be reached by accident.
  const before = new Set(Object.getOwnPropertyNames(g));
  const kind = (value) => (value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value);
  const plain = (value) => {
    try { return JSON.parse(JSON.stringify(value) ?? 'null'); } catch (error) { return { unreadable: String(error) }; }
  };
  hidden(g, '__openhumanKit', () => {
    const skill = (g.__skill && g.__skill.default) || g.__skill || g;
    const tools = skill.tools ?? g.tools;
    const functions = (object, skip) =>
      Object.getOwnPropertyNames(object).filter((name) => {
        if (skip && skip.has(name)) return false;
        try { return typeof object[name] === 'function'; } catch { return false; }
      });
    return {
      wrapped: Boolean(g.__skill),
      functions: skill === g ? [] : functions(skill),
      globals: functions(g, before).filter((name) => name !== '__openhumanKit'),
      toolsKind: kind(tools),
      tools: Array.isArray(tools)
        ? tools.map((tool) => ({
            kind: kind(tool),
            name: plain(tool && tool.name),
            description: plain(tool && tool.description),
            execute: kind(tool && tool.execute),
            schema: plain((tool && (tool.inputSchema ?? tool.input_schema)) ?? null),
          }))
        : [],
    };
  });
})
