// Headers, after the fetch standard.
(function (op, use) {
  'use strict';
  const { fail, need, isObject, expose, iterable } = use('idl');

  const byteString = (value) => {
    value = `${value}`;
    return /^[\0-\xff]*$/.test(value) ? value : fail('a header has a character that is not a byte');
  };
  const nameOf = (value) => {
    const name = byteString(value);
    return /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name) ? name.toLowerCase() : fail(`"${name}" is not a header name`);
  };
  const valueOf = (value) => {
    value = byteString(value).replace(/^[\t\n\r ]+|[\t\n\r ]+$/g, '');
    return /[\0\r\n]/.test(value) ? fail(`"${value}" is not a header value`) : value;
  };

  let pairsOf, freeze, fill, sorted;
  class Headers {
    // From the lower-case name to the values.
    #map = new Map();
    #frozen = false;
    #sorted;
    constructor(init) {
      if (init === undefined) return;
      fill(this, init);
    }
    append(name, value) {
      const map = this.#map;
      need(arguments, 2, 'Headers.append');
      name = nameOf(name);
      value = valueOf(value);
      this.#change();
      const values = map.get(name);
      if (values) values.push(value);
      else map.set(name, [value]);
    }
    delete(name) {
      const map = this.#map;
      need(arguments, 1, 'Headers.delete');
      name = nameOf(name);
      this.#change();
      map.delete(name);
    }
    get(name) {
      const map = this.#map;
      need(arguments, 1, 'Headers.get');
      return map.get(nameOf(name))?.join(', ') ?? null;
    }
    getSetCookie() { return [...(this.#map.get('set-cookie') ?? [])]; }
    has(name) {
      const map = this.#map;
      need(arguments, 1, 'Headers.has');
      return map.has(nameOf(name));
    }
    set(name, value) {
      const map = this.#map;
      need(arguments, 2, 'Headers.set');
      name = nameOf(name);
      value = valueOf(value);
      this.#change();
      map.set(name, [value]);
    }
    #change() {
      if (this.#frozen) fail('these headers are immutable');
      this.#sorted = undefined;
    }
    static {
      // Every line, for the wire.
      pairsOf = (headers) => [...headers.#map].flatMap(([name, values]) => values.map((value) => [name, value]));
      freeze = (headers) => { headers.#frozen = true; return headers; };
      fill = (headers, init) => {
        if (!isObject(init)) fail('Headers: the argument must be an object');
        const iterator = init[Symbol.iterator];
        if (#map in init && iterator === Headers.prototype[Symbol.iterator]) {
          for (const [name, values] of init.#map) headers.#map.set(name, [...values]);
        } else if (iterator === undefined || iterator === null) {
          for (const key of Reflect.ownKeys(init)) {
            if (Object.getOwnPropertyDescriptor(init, key)?.enumerable) headers.append(key, init[key]);
          }
        } else {
          if (typeof iterator !== 'function') fail('Headers: the argument is not iterable');
          for (const pair of init) {
            if (!isObject(pair) || typeof pair[Symbol.iterator] !== 'function') fail('Headers: each header must be a pair');
            const both = [...pair];
            if (both.length !== 2) fail('Headers: each header must be a pair');
            headers.append(both[0], both[1]);
          }
        }
      };
      sorted = (headers) => (headers.#sorted ??= [...headers.#map.keys()].sort().flatMap((name) => {
        const values = headers.#map.get(name);
        return name === 'set-cookie' ? values.map((value) => [name, value]) : [[name, values.join(', ')]];
      }));
    }
  }
  iterable(Headers, (headers) => sorted(headers));
  expose(Headers);

  return { Headers, pairsOf, freeze, nameOf };
})
