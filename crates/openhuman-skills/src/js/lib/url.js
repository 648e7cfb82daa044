// URL and URLSearchParams, after the URL standard. The host parses; an object keeps the serialised URL and the
// positions of its parts: [href, end of the scheme, start and end of the user name, of the password, of the host,
// end of the port, start and end of the path, end of the query].
(function (op, use) {
  'use strict';
  const { fail, need, usv, isObject, expose, iterable } = use('idl');
  const parse = op('url.parse');
  const change = op('url.set');
  const parseForm = op('url.parseForm');
  const writeForm = op('url.writeForm');

  let listOf, linked, renew;
  class URLSearchParams {
    #list = [];
    #changed;
    constructor(init = '') {
      if (isObject(init)) {
        const iterator = init[Symbol.iterator];
        if (iterator === undefined || iterator === null) {
          // A record: a name that repeats after conversion keeps its first place and its last value.
          const record = new Map();
          for (const key of Reflect.ownKeys(init)) {
            if (Object.getOwnPropertyDescriptor(init, key)?.enumerable) record.set(usv(key), usv(init[key]));
          }
          this.#list = [...record];
        } else if (typeof iterator !== 'function') fail('URLSearchParams: the pairs are not iterable');
        else if (#list in init && iterator === URLSearchParams.prototype[Symbol.iterator]) this.#list = init.#list.map((pair) => [...pair]);
        else {
          for (const entry of init) {
            if (!isObject(entry) || typeof entry[Symbol.iterator] !== 'function') fail('URLSearchParams: each pair must be iterable');
            const pair = [...entry].map(usv);
            if (pair.length !== 2) fail('URLSearchParams: each pair must have a name and a value');
            this.#list.push(pair);
          }
        }
      } else {
        const text = usv(init);
        this.#list = parseForm(text.startsWith('?') ? text.slice(1) : text);
      }
    }
    get size() { return this.#list.length; }
    append(name, value) {
      const list = this.#list;
      need(arguments, 2, 'URLSearchParams.append');
      list.push([usv(name), usv(value)]);
      this.#changed?.();
    }
    delete(name, value) {
      const list = this.#list;
      need(arguments, 1, 'URLSearchParams.delete');
      name = usv(name);
      if (value !== undefined) value = usv(value);
      this.#list = list.filter((pair) => pair[0] !== name || (value !== undefined && pair[1] !== value));
      this.#changed?.();
    }
    get(name) {
      const list = this.#list;
      need(arguments, 1, 'URLSearchParams.get');
      name = usv(name);
      return list.find((pair) => pair[0] === name)?.[1] ?? null;
    }
    getAll(name) {
      const list = this.#list;
      need(arguments, 1, 'URLSearchParams.getAll');
      name = usv(name);
      return list.filter((pair) => pair[0] === name).map((pair) => pair[1]);
    }
    has(name, value) {
      const list = this.#list;
      need(arguments, 1, 'URLSearchParams.has');
      name = usv(name);
      if (value !== undefined) value = usv(value);
      return list.some((pair) => pair[0] === name && (value === undefined || pair[1] === value));
    }
    set(name, value) {
      const list = this.#list;
      need(arguments, 2, 'URLSearchParams.set');
      name = usv(name);
      value = usv(value);
      const first = list.find((pair) => pair[0] === name);
      if (first) {
        first[1] = value;
        this.#list = list.filter((pair) => pair === first || pair[0] !== name);
      } else list.push([name, value]);
      this.#changed?.();
    }
    sort() {
      this.#list.sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0));
      this.#changed?.();
    }
    toString() { return writeForm(this.#list.flat()); }
    static {
      listOf = (params) => params.#list;
      // The parameters of a URL: `changed` runs after each change.
      linked = (query, changed) => {
        const params = new URLSearchParams();
        params.#list = parseForm(query);
        params.#changed = changed;
        return params;
      };
      renew = (params, query) => { params.#list = parseForm(query); };
    }
  }
  iterable(URLSearchParams, listOf);

  const parsed = (url, base) => parse(usv(url), base === undefined ? null : usv(base));
  const ORIGINS = ['http:', 'https:', 'ws:', 'wss:', 'ftp:'];
  const adopt = {};
  class URL {
    #at; #params;
    constructor(url, base) {
      if (url === adopt) { this.#at = base; return; }
      need(arguments, 1, 'URL');
      this.#at = parsed(url, base);
      if (this.#at === null) {
        const error = new TypeError('Invalid URL');
        error.code = 'ERR_INVALID_URL';
        error.input = `${url}`;
        if (base !== undefined) error.base = `${base}`;
        throw error;
      }
    }
    static canParse(url, base) {
      need(arguments, 1, 'URL.canParse');
      return parsed(url, base) !== null;
    }
    static parse(url, base) {
      need(arguments, 1, 'URL.parse');
      const at = parsed(url, base);
      return at === null ? null : new URL(adopt, at);
    }
    #part(from, to) { return this.#at[0].slice(this.#at[from], this.#at[to]); }
    #set(name, value) {
      const at = change(this.#at[0], name, usv(value));
      if (at === null) return;
      this.#at = at;
      if (this.#params !== undefined && (name === 'search' || name === 'href')) renew(this.#params, this.search.slice(1));
    }
    get href() { return this.#at[0]; }
    set href(value) {
      const at = parsed(value);
      if (at === null) fail('Invalid URL');
      this.#at = at;
      if (this.#params !== undefined) renew(this.#params, this.search.slice(1));
    }
    get origin() {
      if (ORIGINS.includes(this.protocol)) return `${this.protocol}//${this.host}`;
      if (this.protocol === 'blob:') {
        const inner = URL.parse(this.pathname);
        if (inner?.protocol === 'http:' || inner?.protocol === 'https:') return inner.origin;
      }
      return 'null';
    }
    get protocol() { return this.#at[0].slice(0, this.#at[1]); }
    set protocol(value) { this.#set('protocol', value); }
    get username() { return this.#part(2, 3); }
    set username(value) { this.#set('username', value); }
    get password() { return this.#part(4, 5); }
    set password(value) { this.#set('password', value); }
    get host() { return this.#part(6, 8); }
    set host(value) { this.#set('host', value); }
    get hostname() { return this.#part(6, 7); }
    set hostname(value) { this.#set('hostname', value); }
    get port() { return this.#part(7, 8).slice(1); }
    set port(value) { this.#set('port', value); }
    get pathname() { return this.#part(9, 10); }
    set pathname(value) { this.#set('pathname', value); }
    get search() { const search = this.#part(10, 11); return search === '?' ? '' : search; }
    set search(value) { this.#set('search', value); }
    get searchParams() {
      return (this.#params ??= linked(this.search.slice(1), () => {
        const query = this.#params.toString();
        this.#at = change(this.#at[0], 'search', query === '' ? '' : `?${query}`) ?? this.#at;
      }));
    }
    get hash() { const hash = this.#at[0].slice(this.#at[11]); return hash === '#' ? '' : hash; }
    set hash(value) { this.#set('hash', value); }
    toString() { return this.#at[0]; }
    toJSON() { return this.#at[0]; }
  }
  expose(URL, URLSearchParams);

  return { URL, URLSearchParams, parseForm: (text) => parseForm(usv(text)) };
})
