// fetch, after the fetch standard, over the host's egress checks.
(function (op, use) {
  'use strict';
  const { need } = use('idl');
  const { begin, cancel } = use('async');
  const { Request, inside } = use('request');
  const { make } = use('response');
  const { body: bodyFrom, all } = use('body');
  const { pairsOf } = use('headers');
  const send = op('net.start');
  const read = op('net.read');
  const drop = op('net.drop');
  // A body that nobody read to its end, and nobody can any more.
  const forgotten = new FinalizationRegistry((id) => { drop(id); });

  const failure = (error) => {
    if (error instanceof DOMException || error instanceof TypeError) return error;
    return new TypeError(error instanceof Error ? error.message : 'fetch failed', { cause: error });
  };

  // data:[<type>][;base64],<data>
  const dataUrl = (url) => {
    const [, head, data] = /^data:([^,]*),([^#]*)/.exec(url) ?? [];
    if (head === undefined) throw new TypeError('fetch failed');
    const raw = data.replace(/%([0-9a-f]{2})/gi, (_, hex) => String.fromCharCode(parseInt(hex, 16)));
    const base64 = /;\s*base64\s*$/i.exec(head);
    let text = raw;
    if (base64) try { text = atob(raw); } catch (error) { throw new TypeError('fetch failed', { cause: error }); }
    const type = (base64 ? head.slice(0, base64.index) : head).trim();
    const full = type === '' ? 'text/plain;charset=US-ASCII' : type.startsWith(';') ? `text/plain${type}` : type;
    const answer = { status: 200, statusText: 'OK', url, redirected: false, headers: [['content-type', full]] };
    return make(answer, bodyFrom(Uint8Array.from(text, (c) => c.charCodeAt(0))));
  };

  const run = async (request) => {
    const r = inside(request);
    const { signal } = r;
    signal?.throwIfAborted();
    if (r.url.startsWith('data:')) return dataUrl(r.url);
    const payload = r.body === null ? null : await all(r.body);
    signal?.throwIfAborted();
    const description = JSON.stringify({
      url: r.url, method: r.method, headers: pairsOf(r.headers), redirect: r.redirect, timeoutMs: r.timeoutMs,
    });
    // What is under way at the host: the request, then each chunk of its answer.
    let current, body;
    const forget = signal && use('abort').whenAborted(signal, (reason) => {
      if (current !== undefined) cancel(current, reason);
      if (!body) return;
      body.stop();
      body.pull = () => Promise.reject(reason);
      body.feed?.error(reason);
    });
    const wait = async (...what) => {
      try {
        const { id, promise } = begin(...what);
        current = id;
        return await promise;
      } catch (error) {
        throw signal?.aborted ? signal.reason : failure(error);
      } finally { current = undefined; }
    };
    let answer;
    try { answer = await wait(send, description, payload); } catch (error) { forget?.(); throw error; }
    const { id, hasBody, ...rest } = answer;
    if (!hasBody || r.method === 'HEAD') {
      forget?.();
      drop(id);
      return make(rest, null);
    }
    body = bodyFrom(undefined);
    const over = () => { forget?.(); forgotten.unregister(token); };
    const token = {};
    body.stop = () => { over(); drop(id); };
    body.pull = async () => {
      let chunk;
      try { chunk = await wait(read, id); } catch (error) { over(); throw error; }
      if (chunk === undefined || chunk === null) { over(); return undefined; }
      return chunk;
    };
    forgotten.register(body, id, token);
    return make(rest, body);
  };

  function fetch(input, init = undefined) {
    try {
      need(arguments, 1, 'fetch');
      return run(new Request(input, init));
    } catch (error) { return Promise.reject(error); }
  }
  return { fetch };
})
