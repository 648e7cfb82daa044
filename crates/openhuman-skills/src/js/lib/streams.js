// ReadableStream, after the streams standard. The state of a stream is one plain object,
// shared by its stream, controller and reader; a read request is { chunk, close, error }.
(function (op, use) {
  'use strict';
  const { fail, need, isObject, dictionary, callback, expose, method } = use('idl');
  const noop = () => {};
  const silent = (promise) => { promise.then(noop, noop); return promise; };
  const deferred = () => Promise.withResolvers();
  const rejected = (error) => silent(Promise.reject(error));

  const highWaterMark = (strategy, otherwise) => {
    if (strategy.highWaterMark === undefined) return otherwise;
    const mark = Number(strategy.highWaterMark);
    if (!(mark >= 0)) throw new RangeError('the highWaterMark must be a number that is not negative');
    return mark;
  };
  const sizeOf = ({ size }) => (size === undefined ? undefined : callback(size, 'size'));
  const sized = (size) => {
    size = Number(size);
    if (!(size >= 0 && size < Infinity)) throw new RangeError('the size of a chunk must be a finite number that is not negative');
    return size;
  };
  // An optional member of an underlying source or sink, to be called on it.
  const algorithm = (source, name) => {
    const run = source[name];
    if (run === undefined) return undefined;
    callback(run, name);
    return (...args) => Reflect.apply(run, source, args);
  };
  const promised = (run, ...args) => { try { return Promise.resolve(run?.(...args)); } catch (error) { return Promise.reject(error); } };

  // The state machine of one stream.
  const open = (pull, cancel, mark, size, bytes) => ({
    state: 'readable', error: undefined, reader: undefined, disturbed: false, bytes,
    queue: [], size: 0, mark, sizeOf: size, pull, cancel,
    started: false, closing: false, pulling: false, again: false, into: [], request: null,
  });
  const begin = (s, started) => {
    started.then(() => { s.started = true; pullIfNeeded(s); }, (error) => fault(s, error));
  };
  const clear = (s) => { s.pull = s.cancel = s.sizeOf = undefined; };
  const desired = (s) => (s.state === 'errored' ? null : s.state === 'closed' ? 0 : s.mark - s.size);
  const waits = (s) => s.reader !== undefined && (s.reader.requests.length > 0 || s.into.length > 0);
  const pullIfNeeded = (s) => {
    if (s.state !== 'readable' || s.closing || !s.started || !(waits(s) || desired(s) > 0)) return;
    if (s.pulling) { s.again = true; return; }
    s.pulling = true;
    promised(s.pull).then(() => {
      s.pulling = false;
      if (s.again) { s.again = false; pullIfNeeded(s); }
    }, (error) => fault(s, error));
  };
  const finish = (s) => {
    s.state = 'closed';
    clear(s);
    const { reader } = s;
    if (!reader) return;
    reader.closed.resolve();
    for (const request of [...reader.requests.splice(0), ...s.into.splice(0)]) request.close();
  };
  const fault = (s, error) => {
    if (s.state !== 'readable') return;
    s.state = 'errored';
    s.error = error;
    s.queue = [];
    s.size = 0;
    clear(s);
    const { reader } = s;
    if (!reader) return;
    reader.closed.reject(error);
    for (const request of [...reader.requests.splice(0), ...s.into.splice(0)]) request.error(error);
  };
  const canEnqueue = (s) => s.state === 'readable' && !s.closing;
  const enqueue = (s, chunk) => {
    if (!canEnqueue(s)) fail('the stream is closed or being closed');
    const request = s.into.length === 0 ? s.reader?.requests.shift() : undefined;
    if (request) request.chunk(chunk);
    else {
      try {
        const size = s.bytes ? chunk.byteLength : s.sizeOf === undefined ? 1 : sized(s.sizeOf(chunk));
        s.queue.push({ chunk, size });
        s.size += size;
      } catch (error) {
        fault(s, error);
        throw error;
      }
      fill(s);
    }
    pullIfNeeded(s);
  };
  const close = (s) => {
    if (!canEnqueue(s)) fail('the stream is closed or being closed');
    s.closing = true;
    if (s.queue.length > 0) return;
    if (s.into.some((request) => request.filled % request.unit > 0)) {
      const error = new TypeError('the stream was closed in the middle of an element');
      fault(s, error);
      throw error;
    }
    finish(s);
  };
  const shift = (s) => {
    const { chunk, size } = s.queue.shift();
    s.size = s.queue.length === 0 ? 0 : Math.max(0, s.size - size);
    if (s.closing && s.queue.length === 0) finish(s);
    else pullIfNeeded(s);
    return chunk;
  };
  const read = (s, request) => {
    s.disturbed = true;
    if (s.state === 'closed') request.close();
    else if (s.state === 'errored') request.error(s.error);
    else if (s.queue.length > 0) request.chunk(shift(s));
    else {
      s.reader.requests.push(request);
      pullIfNeeded(s);
    }
  };
  const cancel = (s, reason) => {
    s.disturbed = true;
    if (s.state === 'closed') return Promise.resolve();
    if (s.state === 'errored') return rejected(s.error);
    const run = s.cancel;
    s.queue = [];
    s.size = 0;
    const into = s.into.splice(0);
    finish(s);
    for (const request of into) request.cancel();
    return promised(run, reason).then(noop);
  };

  // Bytes into the buffers that BYOB readers gave.
  const fill = (s) => {
    while (s.into.length > 0 && s.queue.length > 0) {
      const [into] = s.into;
      const entry = s.queue[0];
      const part = entry.chunk.subarray(0, into.target.byteLength - into.filled);
      into.target.set(part, into.filled);
      into.filled += part.byteLength;
      s.size -= part.byteLength;
      if (part.byteLength === entry.size) s.queue.shift();
      else s.queue[0] = { chunk: entry.chunk.subarray(part.byteLength), size: entry.size - part.byteLength };
      if (into.filled < into.unit) continue;
      const extra = into.filled % into.unit;
      if (extra > 0) {
        const tail = into.target.slice(into.filled - extra, into.filled);
        s.queue.unshift({ chunk: tail, size: extra });
        s.size += extra;
        into.filled -= extra;
      }
      s.into.shift().chunk();
      if (extra > 0) break;
    }
    if (s.closing && s.queue.length === 0 && s.state === 'readable') finish(s);
  };

  let stateOf, wrap, controllerOf;
  const hidden = {};
  const check = (key) => { if (key !== hidden) fail('Illegal constructor'); };

  class ReadableStreamDefaultController {
    #s;
    constructor(key, s) { check(key); this.#s = s; }
    get desiredSize() { return desired(this.#s); }
    close() { close(this.#s); }
    enqueue(chunk) { enqueue(this.#s, chunk); }
    error(error) { fault(this.#s, error); }
  }
  class ReadableStreamBYOBRequest {
    #s; #view;
    constructor(key, s, size) { check(key); this.#s = s; this.#view = new Uint8Array(size); }
    get view() { return this.#view; }
    respond(written) {
      need(arguments, 1, 'ReadableStreamBYOBRequest.respond');
      if (this.#view === null) fail('this request was answered');
      written = Number(written);
      if (!(written >= 0 && written <= this.#view.byteLength)) throw new RangeError('more bytes were written than the view has');
      this.#answer(this.#view.subarray(0, written));
    }
    respondWithNewView(view) {
      need(arguments, 1, 'ReadableStreamBYOBRequest.respondWithNewView');
      if (!ArrayBuffer.isView(view)) fail('the argument is not a view');
      if (this.#view === null) fail('this request was answered');
      this.#answer(new Uint8Array(view.buffer, view.byteOffset, view.byteLength));
    }
    #answer(bytes) {
      const s = this.#s;
      if (bytes.byteLength === 0) {
        if (s.state !== 'closed') fail('no bytes were written');
      } else if (s.state === 'closed') fail('the stream is closed');
      this.#view = s.request = null;
      if (bytes.byteLength > 0) enqueue(s, bytes);
    }
  }
  class ReadableByteStreamController {
    #s; #size;
    constructor(key, s, size) { check(key); this.#s = s; this.#size = size; }
    get byobRequest() {
      const s = this.#s;
      if (s.request !== null) return s.request;
      const size = s.into.length > 0 ? s.into[0].target.byteLength - s.into[0].filled : s.reader?.requests.length ? this.#size : undefined;
      if (size === undefined) return null;
      return (s.request = new ReadableStreamBYOBRequest(hidden, s, size));
    }
    get desiredSize() { return desired(this.#s); }
    close() { close(this.#s); }
    enqueue(chunk) {
      need(arguments, 1, 'ReadableByteStreamController.enqueue');
      if (!ArrayBuffer.isView(chunk)) fail('a chunk of a byte stream must be a view of an ArrayBuffer');
      if (chunk.byteLength === 0) fail('a chunk of a byte stream must not be empty');
      if (!canEnqueue(this.#s)) fail('the stream is closed or being closed');
      this.#s.request = null;
      const { buffer, byteOffset, byteLength } = chunk;
      enqueue(this.#s, new Uint8Array(buffer.transfer(), byteOffset, byteLength));
    }
    error(error) { fault(this.#s, error); }
  }

  // Gives the state to a reader and back.
  const lock = (stream, reader) => {
    const s = stateOf(stream);
    if (s.reader) fail('the stream is locked');
    reader.stream = stream;
    reader.s = s;
    reader.requests = [];
    reader.closed = deferred();
    silent(reader.closed.promise);
    s.reader = reader;
    if (s.state === 'closed') reader.closed.resolve();
    else if (s.state === 'errored') reader.closed.reject(s.error);
    return reader;
  };
  const unlock = (reader) => {
    const { s } = reader;
    if (!s) return;
    const error = new TypeError('the reader was released');
    if (s.state !== 'readable') reader.closed = deferred();
    reader.closed.reject(error);
    silent(reader.closed.promise);
    s.reader = undefined;
    reader.s = undefined;
    for (const request of [...reader.requests.splice(0), ...s.into.splice(0)]) request.error(error);
  };
  const gone = (what) => rejected(new TypeError(`${what}: the reader was released`));
  class Reader {
    #r;
    constructor(stream, bytes) {
      const s = stateOf(stream);
      if (bytes && !s.bytes) fail('this stream has no bytes to read into a buffer');
      this.#r = lock(stream, {});
    }
    get closed() { return this.#r.closed.promise; }
    cancel(reason) { return this.#r.s ? cancel(this.#r.s, reason) : gone('cancel'); }
    releaseLock() { unlock(this.#r); }
    static { controllerOf = (reader) => reader.#r; }
  }
  const guard = (run) => { try { return run(); } catch (error) { return rejected(error); } };
  class ReadableStreamDefaultReader {
    #reader;
    constructor(stream) { need(arguments, 1, 'ReadableStreamDefaultReader'); this.#reader = new Reader(stream, false); }
    get closed() { return guard(() => this.#reader.closed); }
    cancel(reason) { return guard(() => this.#reader.cancel(reason)); }
    releaseLock() { this.#reader.releaseLock(); }
    read() {
      return guard(() => {
        const { s } = controllerOf(this.#reader);
        return s ? next(s) : gone('read');
      });
    }
  }
  const next = (s) => new Promise((resolve, reject) => read(s, {
    chunk: (value) => resolve({ value, done: false }),
    close: () => resolve({ value: undefined, done: true }),
    error: reject,
  }));
  class ReadableStreamBYOBReader {
    #reader;
    constructor(stream) { need(arguments, 1, 'ReadableStreamBYOBReader'); this.#reader = new Reader(stream, true); }
    get closed() { return guard(() => this.#reader.closed); }
    cancel(reason) { return guard(() => this.#reader.cancel(reason)); }
    releaseLock() { this.#reader.releaseLock(); }
    read(view) {
      return guard(() => {
        const { s } = controllerOf(this.#reader);
        if (!ArrayBuffer.isView(view)) fail('read: the argument must be a view of an ArrayBuffer');
        if (view.byteLength === 0) fail('read: the view is empty');
        return s ? readInto(s, view) : gone('read');
      });
    }
  }
  const readInto = (s, view) => new Promise((resolve, reject) => {
    const { byteOffset, byteLength, constructor: View } = view;
    const unit = View.BYTES_PER_ELEMENT ?? 1;
    const buffer = view.buffer.transfer();
    const request = { target: new Uint8Array(buffer, byteOffset, byteLength), filled: 0, unit, error: reject };
    request.chunk = () => resolve({ value: new View(buffer, byteOffset, request.filled / unit), done: false });
    request.close = () => resolve({ value: new View(buffer, byteOffset, 0), done: true });
    request.cancel = () => resolve({ value: undefined, done: true });
    s.disturbed = true;
    if (s.state === 'errored') reject(s.error);
    else if (s.state === 'closed') request.close();
    else {
      s.into.push(request);
      fill(s);
      pullIfNeeded(s);
    }
  });

  class ReadableStream {
    #s;
    constructor(source, strategy) {
      if (source === hidden) { this.#s = strategy; return; }
      if (source !== undefined && !isObject(source)) fail('ReadableStream: the source must be an object');
      source ??= {};
      strategy = dictionary(strategy, 'ReadableStream');
      const { type } = source;
      const bytes = type !== undefined && `${type}` === 'bytes';
      if (type !== undefined && !bytes) fail('ReadableStream: the type of a source must be "bytes" or absent');
      const [cancelling, pulling, start] = ['cancel', 'pull', 'start'].map((name) => algorithm(source, name));
      const size = sizeOf(strategy);
      if (bytes && size) throw new RangeError('ReadableStream: a byte stream has no size function');
      let chunk = source.autoAllocateChunkSize;
      if (bytes && chunk !== undefined && !((chunk = Math.trunc(chunk)) > 0)) fail('autoAllocateChunkSize must be more than 0');
      const s = (this.#s = open(undefined, cancelling, highWaterMark(strategy, bytes ? 0 : 1), size, bytes));
      const controller = bytes ? new ReadableByteStreamController(hidden, s, chunk) : new ReadableStreamDefaultController(hidden, s);
      if (pulling) s.pull = () => pulling(controller);
      begin(s, Promise.resolve(start?.(controller)));
    }
    static from(iterable) {
      need(arguments, 1, 'ReadableStream.from');
      const make = isObject(iterable) || typeof iterable === 'string' ? iterable[Symbol.asyncIterator] ?? iterable[Symbol.iterator] : undefined;
      if (typeof make !== 'function') fail('ReadableStream.from: the argument is not iterable');
      const iterator = make.call(iterable);
      const each = (result) => (isObject(result) ? result : fail('ReadableStream.from: the iterator gave no object'));
      const s = open(async () => {
        const result = each(await iterator.next());
        if (result.done) close(s);
        else enqueue(s, await result.value);
      }, async (reason) => {
        if (iterator.return !== undefined) each(await iterator.return(reason));
      }, 0, undefined, false);
      begin(s, Promise.resolve());
      return wrap(s);
    }
    get locked() { return this.#s.reader !== undefined; }
    cancel(reason) { return guard(() => (this.#s.reader ? fail('cancel: the stream is locked') : cancel(this.#s, reason))); }
    getReader(options) {
      const s = this.#s;
      const { mode } = dictionary(options, 'getReader');
      if (mode === undefined) return new ReadableStreamDefaultReader(this);
      if (`${mode}` !== 'byob') fail('getReader: the mode must be "byob" or absent');
      return s && new ReadableStreamBYOBReader(this);
    }
    pipeThrough(transform, options) {
      need(arguments, 1, 'ReadableStream.pipeThrough');
      const { readable, writable } = dictionary(transform, 'pipeThrough');
      stateOf(readable);
      if (this.locked) fail('pipeThrough: the stream is locked');
      if (use('writable').isLocked(writable)) fail('pipeThrough: the writable side is locked');
      silent(use('pipe').pipe(this, writable, dictionary(options, 'pipeThrough')));
      return readable;
    }
    pipeTo(destination, options) {
      return guard(() => {
        need(arguments, 1, 'ReadableStream.pipeTo');
        const locked = use('writable').isLocked(destination);
        if (this.locked || locked) fail('pipeTo: a stream is locked');
        return use('pipe').pipe(this, destination, dictionary(options, 'pipeTo'));
      });
    }
    tee() { return use('pipe').tee(this); }
    values(options) { return use('pipe').values(this, dictionary(options, 'values')); }
    static {
      stateOf = (stream) => (isObject(stream) && #s in stream ? stream.#s : fail('the argument is not a ReadableStream'));
      wrap = (s) => new ReadableStream(hidden, s);
    }
  }
  expose(ReadableStream, ReadableStreamDefaultReader, ReadableStreamBYOBReader, ReadableStreamDefaultController,
    ReadableByteStreamController, ReadableStreamBYOBRequest);
  method(ReadableStream.prototype, Symbol.asyncIterator, ReadableStream.prototype.values);

  // A stream that the library itself feeds: `pull` gets { enqueue, close, error }.
  const make = (pull, cancelling, mark, { bytes = false, size, started = Promise.resolve() } = {}) => {
    const s = open(undefined, cancelling, mark, size, bytes);
    const feed = {
      enqueue: (chunk) => enqueue(s, chunk), close: () => close(s), error: (error) => fault(s, error),
      desired: () => desired(s), canEnqueue: () => canEnqueue(s), backpressure: () => !(waits(s) || desired(s) > 0), state: s,
    };
    s.pull = () => pull(feed);
    begin(s, started);
    return { stream: wrap(s), feed };
  };

  return {
    ReadableStream, ReadableStreamDefaultReader, ReadableStreamBYOBReader, ReadableStreamDefaultController,
    ReadableByteStreamController, ReadableStreamBYOBRequest,
    isReadable: (value) => { try { stateOf(value); return true; } catch { return false; } },
    isDisturbed: (stream) => stateOf(stream).disturbed,
    stateOf, lock, unlock, read, next, cancel, make, silent, deferred, highWaterMark, sizeOf, sized, algorithm, promised,
  };
})
