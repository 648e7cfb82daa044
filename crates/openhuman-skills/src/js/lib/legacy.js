// The web's text, bytes and requests, in their smallest form.
(function (op, use) {
  'use strict';
  const { parse } = JSON;
  const random = op('legacy.random');
  const encode = op('legacy.encode');
  const decode = op('legacy.decode');
  const text = (value) => String(value).toWellFormed();

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
  const fetch = async (url, options) => {
    const { start } = use('async');
    const { headers, body, ...rest } = options ?? {};
    const pairs = Object.entries(headers ?? {}).map(([name, value]) => [name, String(value)]);
    const answer = await start(op('net.start'), JSON.stringify({ ...rest, url: String(url), headers: pairs }), body ?? null);
    let all = '';
    for (let piece; (piece = await start(op('net.read'), answer.id)) !== undefined;) all += decode(piece);
    const map = {};
    for (const [name, value] of answer.headers) map[name] = name in map ? `${map[name]}, ${value}` : value;
    return {
      status: answer.status, statusText: answer.statusText, ok: answer.status >= 200 && answer.status < 300, url: answer.url,
      headers: new Headers(map),
      text: async () => all,
      json: async () => parse(all),
    };
  };

  // Text, bytes, randomness.
  const bytesOf = (data) => {
    if (data === undefined) return new Uint8Array(0);
    if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    return new Uint8Array(data);
  };
  const TextEncoder = (class TextEncoder {
    get encoding() { return 'utf-8'; }
    encode(input) { return encode(input === undefined ? '' : text(input)); }
  });
  const TextDecoder = (class TextDecoder {
    #fatal;
    constructor(label = 'utf-8', options) {
      if (!/^\s*(utf-?8|unicode-1-1-utf-8)\s*$/i.test(label)) throw new RangeError(`the encoding ${label} is not supported`);
      this.#fatal = Boolean(options && options.fatal);
    }
    get encoding() { return 'utf-8'; }
    get fatal() { return this.#fatal; }
    decode(data) { return decode(bytesOf(data), this.#fatal); }
  });
  const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  const crypto = {
    getRandomValues: (view) => {
      if (!ArrayBuffer.isView(view) || view instanceof Float32Array || view instanceof Float64Array || view instanceof DataView) {
        throw new TypeError('getRandomValues needs an integer typed array');
      }
      bytesOf(view).set(random(view.byteLength));
      return view;
    },
    randomUUID: () => {
      const bytes = random(16);
      bytes[6] = (bytes[6] & 0x0f) | 0x40;
      bytes[8] = (bytes[8] & 0x3f) | 0x80;
      const all = hex(bytes);
      return `${all.slice(0, 8)}-${all.slice(8, 12)}-${all.slice(12, 16)}-${all.slice(16, 20)}-${all.slice(20)}`;
    },
  };
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
  const structuredClone = (value) => clone(value, new Map());
  return { fetch, TextEncoder, TextDecoder, crypto, structuredClone };
})
