// Request, after the fetch standard. What only a browser can honour (mode, credentials, cache, referrer, integrity)
// is checked, kept and reported, nothing more.
(function (op, use) {
  'use strict';
  const { fail, need, usv, dictionary, expose } = use('idl');
  const { Headers } = use('headers');
  const { extract, clone, isUnusable, body: bodyFrom, mixin } = use('body');
  const { URL } = use('url');

  const CHOICES = {
    mode: ['same-origin', 'no-cors', 'cors', 'navigate'],
    credentials: ['omit', 'same-origin', 'include'],
    cache: ['default', 'no-store', 'reload', 'no-cache', 'force-cache', 'only-if-cached'],
    redirect: ['follow', 'error', 'manual'],
    referrerPolicy: ['', 'no-referrer', 'no-referrer-when-downgrade', 'same-origin', 'origin', 'strict-origin',
      'origin-when-cross-origin', 'strict-origin-when-cross-origin', 'unsafe-url'],
  };
  const methodOf = (method) => {
    method = `${method}`;
    const upper = method.toUpperCase();
    if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(method)) fail(`'${method}' is not a valid HTTP method.`);
    if (['CONNECT', 'TRACE', 'TRACK'].includes(upper)) fail(`'${method}' HTTP method is unsupported.`);
    return ['DELETE', 'GET', 'HEAD', 'OPTIONS', 'POST', 'PUT'].includes(upper) ? upper : method;
  };
  const addressOf = (input) => {
    const text = usv(input);
    const url = URL.parse(text);
    if (url === null) throw new TypeError(`Failed to parse URL from ${text}`);
    if (url.username || url.password) fail('the URL of a request has no user name and no password');
    return url.href;
  };

  let requestOf, inside;
  class Request {
    #r; #signal;
    constructor(input, init) {
      need(arguments, 1, 'Request');
      const other = requestOf(input);
      init = dictionary(init, 'Request');
      const r = (this.#r = other
        ? { ...other.#r, signal: undefined, body: null }
        : { url: addressOf(input), method: 'GET', mode: 'cors', credentials: 'same-origin', cache: 'default', redirect: 'follow',
          referrerPolicy: '', referrer: 'about:client', integrity: '', keepalive: false, body: null, signal: undefined, timeoutMs: undefined });
      if (init.window !== undefined && init.window !== null) fail('Request: `window` must be null');
      for (const name of Object.keys(CHOICES)) {
        const value = init[name];
        if (value === undefined) continue;
        r[name] = CHOICES[name].includes(`${value}`) ? `${value}` : fail(`Request: ${name} cannot be "${value}"`);
      }
      if (r.mode === 'navigate') fail('Request: the mode cannot be "navigate"');
      if (r.cache === 'only-if-cached' && r.mode !== 'same-origin') fail('Request: the cache mode "only-if-cached" needs the mode "same-origin"');
      if (init.referrer !== undefined) {
        const referrer = `${init.referrer}`;
        r.referrer = referrer === '' ? 'no-referrer' : 'about:client';
        if (referrer !== '' && !URL.canParse(referrer)) fail(`Referrer "${referrer}" is not a valid URL.`);
      }
      if (init.integrity !== undefined) r.integrity = `${init.integrity}`;
      if (init.keepalive !== undefined) r.keepalive = Boolean(init.keepalive);
      if (init.method !== undefined) r.method = methodOf(init.method);
      // Beyond the standard, as `net.fetch` has them: seconds, or milliseconds.
      if (init.timeoutMs !== undefined) r.timeoutMs = Number(init.timeoutMs);
      else if (typeof init.timeout === 'number') r.timeoutMs = init.timeout >= 1000 ? init.timeout : init.timeout * 1000;
      r.signal = init.signal === undefined ? (other ? other.signal : undefined) : init.signal ?? undefined;
      if (r.signal !== undefined && !use('abort').isSignal(r.signal)) fail('Request: `signal` must be an AbortSignal');
      r.headers = new Headers(init.headers ?? (other ? other.#r.headers : undefined));
      const inherited = other && other.#r.body;
      const given = init.body !== undefined && init.body !== null;
      if ((given || inherited) && (r.method === 'GET' || r.method === 'HEAD')) fail('Request with GET/HEAD method cannot have body.');
      if (init.duplex !== undefined && init.duplex !== 'half') fail('Request: `duplex` must be "half"');
      if (given) {
        const [body, type] = extract(init.body);
        if (body.stream && init.duplex !== 'half') fail('RequestInit: duplex option is required when sending a body.');
        r.body = body;
        if (type !== null && !r.headers.has('content-type')) r.headers.append('content-type', type);
      } else if (inherited) {
        if (isUnusable(inherited)) fail('Cannot construct a Request with a Request object that has already been used.');
        r.body = Object.assign(bodyFrom(undefined), inherited);
        inherited.used = true;
        if (inherited.stream) inherited.stream = undefined;
      }
    }
    get method() { return this.#r.method; }
    get url() { return this.#r.url; }
    get headers() { return this.#r.headers; }
    get destination() { this.#r; return ''; }
    get referrer() { const { referrer } = this.#r; return referrer === 'no-referrer' ? '' : referrer; }
    get referrerPolicy() { return this.#r.referrerPolicy; }
    get mode() { return this.#r.mode; }
    get credentials() { return this.#r.credentials; }
    get cache() { return this.#r.cache; }
    get redirect() { return this.#r.redirect; }
    get integrity() { return this.#r.integrity; }
    get keepalive() { return this.#r.keepalive; }
    get signal() {
      const { signal } = this.#r;
      return (this.#signal ??= use('abort').AbortSignal.any(signal ? [signal] : []));
    }
    get duplex() { this.#r; return 'half'; }
    clone() {
      const r = this.#r;
      const copy = new Request(r.url, { signal: r.signal ? this.signal : undefined });
      copy.#r = { ...copy.#r, ...r, body: clone(r.body), headers: new Headers(r.headers), signal: copy.#r.signal };
      return copy;
    }
    static {
      requestOf = (value) => (typeof value === 'object' && value !== null && #r in value ? value : undefined);
      inside = (request) => request.#r;
    }
  }
  mixin(Request, (request) => inside(request).body, (request) => request.headers.get('content-type'));
  expose(Request);

  return { Request, inside };
})
