// What WebIDL asks of every interface: conversions of arguments, enumerable members, and pair iterators.
(function () {
  'use strict';
  const { defineProperty, getOwnPropertyDescriptor, getPrototypeOf, setPrototypeOf } = Object;
  const fail = (text) => { throw new TypeError(text); };

  const need = (args, count, what) => {
    if (args.length < count) fail(`${what}: ${count} argument${count > 1 ? 's' : ''} required, but only ${args.length} present`);
  };
  // USVString: a lone surrogate becomes U+FFFD.
  const usv = (value) => `${value}`.toWellFormed();
  const isObject = (value) => (typeof value === 'object' && value !== null) || typeof value === 'function';
  const dictionary = (value, what) => {
    if (value === undefined || value === null) return {};
    return isObject(value) ? value : fail(`${what}: the options must be an object`);
  };
  const callback = (value, what) => (typeof value === 'function' ? value : fail(`${what} is not a function`));
  const isBuffer = (value) => {
    if (!isObject(value)) return false;
    try { return getOwnPropertyDescriptor(ArrayBuffer.prototype, 'byteLength').get.call(value) >= 0; } catch { return false; }
  };
  // BufferSource as a Uint8Array over the same memory; undefined for anything else.
  const bytesOf = (value) => {
    if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
    return isBuffer(value) ? new Uint8Array(value) : undefined;
  };
  const concat = (chunks) => {
    if (chunks.length === 1) return chunks[0];
    const all = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0));
    let at = 0;
    for (const chunk of chunks) { all.set(chunk, at); at += chunk.byteLength; }
    return all;
  };

  // Members of an interface are enumerable, and its prototype is tagged with its name.
  const expose = (...classes) => {
    for (const Class of classes) {
      for (const target of [Class, Class.prototype]) {
        for (const key of Object.getOwnPropertyNames(target)) {
          if (key === 'constructor' || key === 'prototype' || key === 'name' || key === 'length') continue;
          defineProperty(target, key, { ...getOwnPropertyDescriptor(target, key), enumerable: true });
        }
      }
      defineProperty(Class.prototype, Symbol.toStringTag, { value: Class.name, configurable: true });
    }
  };
  const constants = (Class, values) => {
    for (const name of Object.keys(values)) {
      for (const target of [Class, Class.prototype]) defineProperty(target, name, { value: values[name], enumerable: true });
    }
  };

  const method = (target, name, value) =>
    defineProperty(target, name, { value, writable: true, configurable: true, enumerable: typeof name === 'string' });
  // Gives a class `entries`, `keys`, `values`, `forEach` and iteration; `list` is its current pairs, which
  // an iterator reads by position, so that it sees changes.
  const iterable = (Class, list) => {
    class Pairs {
      #object; #kind; #at = 0;
      constructor(object, kind) { list(object); this.#object = object; this.#kind = kind; }
      next() {
        const pairs = list(this.#object);
        if (this.#at >= pairs.length) return { value: undefined, done: true };
        const pair = pairs[this.#at++];
        return { value: this.#kind === 2 ? [pair[0], pair[1]] : pair[this.#kind], done: false };
      }
    }
    delete Pairs.prototype.constructor;
    setPrototypeOf(Pairs.prototype, getPrototypeOf(getPrototypeOf([][Symbol.iterator]())));
    method(Pairs.prototype, 'next', Pairs.prototype.next);
    defineProperty(Pairs.prototype, Symbol.toStringTag, { value: `${Class.name} Iterator`, configurable: true });
    const { prototype } = Class;
    const members = {
      entries() { return new Pairs(this, 2); },
      keys() { return new Pairs(this, 0); },
      values() { return new Pairs(this, 1); },
      forEach(visit, self) {
        list(this);
        need(arguments, 1, `${Class.name}.forEach`);
        callback(visit, `${Class.name}.forEach: the callback`);
        for (let at = 0; at < list(this).length; at++) {
          const [name, value] = list(this)[at];
          visit.call(self, value, name, this);
        }
      },
    };
    for (const name of Object.keys(members)) method(prototype, name, members[name]);
    method(prototype, Symbol.iterator, members.entries);
  };

  return { fail, need, usv, isObject, dictionary, callback, isBuffer, bytesOf, concat, expose, constants, iterable, method };
})
