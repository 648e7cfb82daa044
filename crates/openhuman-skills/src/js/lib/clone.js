// structuredClone, after the HTML standard. A Proxy cannot be told from its target, so it is cloned as an object.
(function (op, use) {
  'use strict';
  const { need, dictionary, isBuffer } = use('idl');
  const { getPrototypeOf, getOwnPropertyDescriptor, defineProperty, hasOwn, prototype: plain } = Object;
  const refuse = (what) => { throw new DOMException(`${what} could not be cloned.`, 'DataCloneError'); };

  // Whether a method of a built-in class accepts the value: what it is, whatever its prototype says.
  const accepts = (run) => (value) => { try { run.call(value); return true; } catch { return false; } };
  const getter = (target, name) => getOwnPropertyDescriptor(target, name).get;
  const isDate = accepts(Date.prototype.getTime);
  const isMap = accepts(getter(Map.prototype, 'size'));
  const isSet = accepts(getter(Set.prototype, 'size'));
  const isPattern = accepts(getter(RegExp.prototype, 'source'));
  const arrayName = getter(getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag);
  const BOXES = [Number, String, Boolean, BigInt, Symbol].map((Class) => [Class, accepts(Class.prototype.valueOf)]);
  // Objects with insides that the standard does not serialise, by their tag.
  const CLOSED = new Set(['Promise', 'WeakMap', 'WeakSet', 'WeakRef', 'FinalizationRegistry', 'Generator', 'AsyncGenerator',
    'Array Iterator', 'Map Iterator', 'Set Iterator', 'String Iterator', 'URL', 'URLSearchParams', 'Headers', 'Request', 'Response',
    'FormData', 'Event', 'CustomEvent', 'EventTarget', 'AbortController', 'AbortSignal', 'TextEncoder', 'TextDecoder',
    'ReadableStream', 'WritableStream', 'TransformStream', 'CryptoKey', 'WebSocket']);
  const ERRORS = { EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };
  const errorCopy = (value) => {
    const name = `${value.name}`;
    const copy = Reflect.construct(Error, [], hasOwn(ERRORS, name) ? ERRORS[name] : Error);
    const own = (key, text) => defineProperty(copy, key, { value: text, writable: true, configurable: true, enumerable: false });
    const message = getOwnPropertyDescriptor(value, 'message');
    if (message && 'value' in message) own('message', `${message.value}`);
    if (typeof value.stack === 'string') own('stack', value.stack);
    return copy;
  };
  const put = (copy, key, value) => {
    if (key === '__proto__') defineProperty(copy, key, { value, writable: true, configurable: true, enumerable: true });
    else copy[key] = value;
  };

  // A transferred buffer, or a view of one: made when nothing can fail any more.
  class Late {
    #make; #value;
    constructor(make) { this.#make = make; }
    get value() { return (this.#value ??= this.#make()); }
  }
  const real = (value) => (value instanceof Late ? value.value : value);

  const cloneWith = (root, transfer) => {
    const memory = new Map();
    for (const buffer of transfer) memory.set(buffer, new Late(() => buffer.transfer()));
    // Objects are made first and filled later from a list, so that depth costs no stack: [value, copy, value, copy...].
    // With a transfer, the filling itself waits until everything was read.
    const todo = [];
    const writes = transfer.length > 0 ? [] : undefined;
    const remember = (value, copy) => {
      memory.set(value, copy);
      return copy;
    };
    const later = (value, copy) => {
      memory.set(value, copy);
      todo.push(value, copy);
      return copy;
    };
    const collection = (entries, add) => {
      for (const entry of entries) {
        const items = entry.map(clone);
        if (writes) writes.push(() => add(items.map(real)));
        else add(items);
      }
    };
    const fill = (value, copy) => {
      if (copy instanceof Map) return collection([...Map.prototype.entries.call(value)], ([key, item]) => copy.set(key, item));
      if (copy instanceof Set) return collection([...Set.prototype.values.call(value)].map((item) => [item]), ([item]) => copy.add(item));
      for (const key of Object.keys(value)) {
        if (!hasOwn(value, key)) continue;
        const item = clone(value[key]);
        if (writes) writes.push(() => put(copy, key, real(item)));
        else put(copy, key, item);
      }
    };
    const view = (value) => {
      const { byteOffset, byteLength, length } = value;
      const name = arrayName.call(value);
      const make = (buffer) => (name === undefined ? new DataView(buffer, byteOffset, byteLength) : new globalThis[name](buffer, byteOffset, length));
      const buffer = clone(value.buffer);
      return remember(value, buffer instanceof Late ? new Late(() => make(buffer.value)) : make(buffer));
    };
    const special = (value) => {
      if (isBuffer(value)) return value.detached ? refuse('An ArrayBuffer is detached and') : remember(value, value.slice(0));
      if (ArrayBuffer.isView(value)) return view(value);
      if (isDate(value)) return remember(value, new Date(Date.prototype.getTime.call(value)));
      if (isMap(value)) return later(value, new Map());
      if (isSet(value)) return later(value, new Set());
      if (value !== RegExp.prototype && isPattern(value)) return remember(value, new RegExp(value.source, value.flags));
      if (value instanceof DOMException) return remember(value, new DOMException(value.message, value.name));
      if (Error.isError(value)) return remember(value, errorCopy(value));
      for (const [Class, is] of BOXES) {
        if (is(value)) return Class === Symbol ? refuse('A symbol') : remember(value, Object(Class.prototype.valueOf.call(value)));
      }
      const tag = plain.toString.call(value).slice(8, -1);
      if (tag === 'Blob' || tag === 'File') {
        const { contents, make, File } = use('blob');
        const bytes = contents(value);
        if (bytes) return remember(value, tag === 'File' ? new File([value], value.name, { type: value.type, lastModified: value.lastModified }) : make(bytes, value.type));
      }
      return CLOSED.has(tag) ? refuse(`#<${tag}>`) : later(value, {});
    };
    const clone = (value) => {
      if (typeof value === 'symbol') refuse(String(value));
      if (typeof value === 'function') refuse(`${value}`.slice(0, 100));
      if (typeof value !== 'object' || value === null) return value;
      const known = memory.get(value);
      if (known !== undefined) return known;
      if (Array.isArray(value)) {
        const copy = [];
        copy.length = value.length;
        return later(value, copy);
      }
      return getPrototypeOf(value) === plain ? later(value, {}) : special(value);
    };
    const copy = clone(root);
    while (todo.length > 0) {
      const target = todo.pop();
      fill(todo.pop(), target);
    }
    for (const buffer of transfer) memory.get(buffer).value;
    if (writes) for (const write of writes) write();
    return real(copy);
  };

  function structuredClone(value, options) {
    need(arguments, 1, 'structuredClone');
    const { transfer } = dictionary(options, 'structuredClone');
    const buffers = transfer === undefined ? [] : [...transfer];
    for (const buffer of buffers) if (!isBuffer(buffer) || buffer.detached) refuse('A value that is not transferable');
    if (new Set(buffers).size < buffers.length) refuse('An ArrayBuffer is listed twice and');
    return cloneWith(value, buffers);
  }
  return { structuredClone };
})
