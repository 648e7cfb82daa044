// Bodies of requests and responses, after the fetch standard. A body is one plain object: `bytes` that are there, or
// `pull`, which asks the host for the next chunk; a stream is made of it only when somebody asks for one.
(function (op, use) {
  'use strict';
  const { fail, usv, isObject, bytesOf, concat } = use('idl');
  const { encode, utf8 } = use('encoding');
  const EMPTY = new Uint8Array(0);

  const isUsed = (b) => b.used || (b.stream !== undefined && use('streams').isDisturbed(b.stream));
  const isUnusable = (b) => isUsed(b) || (b.stream !== undefined && b.stream.locked);
  const body = (bytes, shared = false) => ({ bytes, shared, used: false, stream: undefined, pull: undefined, stop: undefined, feed: undefined });

  // Which body, and which content type, a value makes. Only what is loaded already can be an instance of it.
  const extract = (value) => {
    if (isObject(value)) {
      const bytes = bytesOf(value);
      if (bytes) return [body(bytes.slice()), null];
      switch (Object.prototype.toString.call(value)) {
        case '[object Blob]': case '[object File]': {
          const bytes = use('blob').contents(value);
          if (bytes) return [body(bytes, true), value.type || null];
          break;
        }
        case '[object FormData]': {
          const { isForm, encode: multipart, boundaryOf } = use('formdata');
          if (!isForm(value)) break;
          const boundary = boundaryOf();
          return [body(multipart(value, boundary)), `multipart/form-data; boundary=${boundary}`];
        }
        case '[object URLSearchParams]':
          return [body(encode(`${value}`)), 'application/x-www-form-urlencoded;charset=UTF-8'];
        case '[object ReadableStream]': {
          if (!use('streams').isReadable(value)) break;
          const b = body(undefined);
          b.stream = value;
          if (isUnusable(b)) fail('the body is a stream that is locked or was read');
          return [b, null];
        }
      }
    }
    return [body(encode(usv(value))), 'text/plain;charset=UTF-8'];
  };

  const streamOf = (b) => {
    if (b.stream) return b.stream;
    const { make, stateOf, lock } = use('streams');
    const { bytes } = b;
    const made = make(async (feed) => {
      const chunk = bytes === undefined ? await b.pull() : bytes;
      if (chunk?.byteLength > 0) feed.enqueue(b.shared ? chunk.slice() : chunk);
      if ((bytes !== undefined || chunk === undefined) && feed.canEnqueue()) feed.close();
    }, () => b.stop?.(), 0, { bytes: true });
    b.stream = made.stream;
    b.feed = made.feed;
    if (b.used) {
      made.feed.close();
      stateOf(b.stream).disturbed = true;
      lock(b.stream, {});
    }
    return b.stream;
  };

  // Everything, once.
  const all = async (b) => {
    if (b === null) return EMPTY;
    if (isUnusable(b)) fail('Body is unusable: Body has already been read');
    if (b.stream) {
      const { stateOf, lock, next } = use('streams');
      const { s } = lock(b.stream, {});
      if (s !== stateOf(b.stream)) fail('the stream is locked');
      const chunks = [];
      for (;;) {
        const { value, done } = await next(s);
        if (done) return concat(chunks);
        chunks.push(value instanceof Uint8Array ? value : fail('a chunk of a body must be a Uint8Array'));
      }
    }
    b.used = true;
    if (b.bytes !== undefined) return b.bytes;
    const chunks = [];
    for (;;) {
      const chunk = await b.pull();
      if (chunk === undefined) return concat(chunks);
      chunks.push(chunk);
    }
  };

  const clone = (b) => {
    if (b === null) return null;
    if (isUnusable(b)) fail('the body was read already');
    if (b.bytes !== undefined && !b.stream) {
      b.shared = true;
      return body(b.bytes, true);
    }
    const [mine, other] = use('pipe').tee(streamOf(b));
    b.stream = mine;
    const copy = body(undefined);
    copy.stream = other;
    return copy;
  };

  const form = async (b, type) => {
    const [essence] = (type ?? '').split(';', 1);
    switch (essence.trim().toLowerCase()) {
      case 'multipart/form-data': {
        const boundary = /;\s*boundary=(?:"([^"]+)"|([^;\s]+))/i.exec(type);
        if (!boundary) fail('the content type has no boundary');
        return use('formdata').parse(await all(b), boundary[1] ?? boundary[2]);
      }
      case 'application/x-www-form-urlencoded': {
        const result = new (use('formdata').FormData)();
        for (const [name, value] of use('url').parseForm(utf8(await all(b)))) result.append(name, value);
        return result;
      }
      default: return fail('the body is neither multipart/form-data nor application/x-www-form-urlencoded');
    }
  };

  // Gives a class the members of a body; `bodyOf` and `typeOf` look into an object of it.
  const mixin = (Class, bodyOf, typeOf) => {
    const members = {
      get body() { const b = bodyOf(this); return b === null ? null : streamOf(b); },
      get bodyUsed() { const b = bodyOf(this); return b !== null && isUsed(b); },
      async arrayBuffer() {
        const b = bodyOf(this);
        const bytes = await all(b);
        return (b === null || b.shared || bytes.byteLength < bytes.buffer.byteLength ? bytes.slice() : bytes).buffer;
      },
      async bytes() { return new Uint8Array(await members.arrayBuffer.call(this)); },
      async text() { return utf8(await all(bodyOf(this))); },
      async json() { return JSON.parse(utf8(await all(bodyOf(this)))); },
      async blob() { const bytes = await all(bodyOf(this)); return use('blob').make(bytes.slice(), typeOf(this) ?? ''); },
      async formData() { return form(bodyOf(this), typeOf(this)); },
    };
    Object.defineProperties(Class.prototype, Object.getOwnPropertyDescriptors(members));
  };

  return { body, extract, all, clone, isUnusable, mixin };
})
