// Response, after the fetch standard.
(function (op, use) {
  'use strict';
  const { fail, need, usv, dictionary, expose } = use('idl');
  const { Headers, freeze } = use('headers');
  const { extract, clone, isUnusable, mixin } = use('body');
  const hidden = {};
  const EMPTY_STATUS = [101, 103, 204, 205, 304];

  let inside;
  class Response {
    #r;
    constructor(body, init) {
      if (body === hidden) { this.#r = init; return; }
      init = dictionary(init, 'Response');
      const status = init.status === undefined ? 200 : Math.trunc(Number(init.status)) || 0;
      const statusText = init.statusText === undefined ? '' : `${init.statusText}`;
      if (status < 200 || status > 599) throw new RangeError('init["status"] must be in the range of 200 to 599, inclusive.');
      if (/[^\t\x20-\x7e\x80-\xff]/.test(statusText)) fail('Invalid statusText');
      const headers = new Headers(init.headers);
      this.#r = { type: 'default', url: '', redirected: false, status, statusText, headers, body: null };
      if (body === undefined || body === null) return;
      if (EMPTY_STATUS.includes(status)) fail(`Response with status ${status} has no body`);
      const [made, type] = extract(body);
      this.#r.body = made;
      if (type !== null && !headers.has('content-type')) headers.append('content-type', type);
    }
    static error() {
      return new Response(hidden, { type: 'error', url: '', redirected: false, status: 0, statusText: '', headers: freeze(new Headers()), body: null });
    }
    static redirect(url, status = 302) {
      need(arguments, 1, 'Response.redirect');
      const target = use('url').URL.parse(usv(url));
      if (target === null) fail(`Failed to parse URL from ${url}`);
      if (![301, 302, 303, 307, 308].includes(Number(status))) throw new RangeError(`Invalid status code ${status}`);
      const response = new Response(null, { headers: { location: target.href } });
      response.#r.status = Number(status);
      freeze(response.#r.headers);
      return response;
    }
    static json(data, init) {
      need(arguments, 1, 'Response.json');
      const text = JSON.stringify(data);
      if (text === undefined) fail('the value cannot be written as JSON');
      const headers = new Headers(dictionary(init, 'Response.json').headers);
      if (!headers.has('content-type')) headers.set('content-type', 'application/json');
      const { status, statusText } = dictionary(init, 'Response.json');
      return new Response(text, { status, statusText, headers });
    }
    get type() { return this.#r.type; }
    get url() { const { url } = this.#r; return url.split('#', 1)[0]; }
    get redirected() { return this.#r.redirected; }
    get status() { return this.#r.status; }
    get ok() { const { status } = this.#r; return status >= 200 && status <= 299; }
    get statusText() { return this.#r.statusText; }
    get headers() { return this.#r.headers; }
    clone() {
      const r = this.#r;
      if (r.body !== null && isUnusable(r.body)) fail('Response.clone: Body has already been consumed.');
      return new Response(hidden, { ...r, headers: new Headers(r.headers), body: clone(r.body) });
    }
    static { inside = (response) => response.#r; }
  }
  mixin(Response, (response) => inside(response).body, (response) => response.headers.get('content-type'));
  expose(Response);

  // The response of a request that was made.
  const make = (answer, body) =>
    new Response(hidden, { type: 'basic', ...answer, headers: freeze(new Headers(answer.headers)), body });
  return { Response, make };
})
