// WritableStream, after the streams standard. The state of a stream is one plain object, shared by its stream,
// controller and writer.
(function (op, use) {
  'use strict';
  const { fail, need, isObject, dictionary, expose } = use('idl');
  const { silent, highWaterMark, sizeOf, sized, algorithm, promised } = use('streams');
  const CLOSE = {};
  const hidden = {};
  const check = (key) => { if (key !== hidden) fail('Illegal constructor'); };
  const pending = () => {
    const { promise, resolve, reject } = Promise.withResolvers();
    silent(promise);
    const each = { promise, pending: true };
    each.resolve = (value) => { each.pending = false; resolve(value); };
    each.reject = (error) => { each.pending = false; reject(error); };
    return each;
  };
  const settled = () => { const each = pending(); each.resolve(); return each; };
  const failed = (error) => { const each = pending(); each.reject(error); return each; };
  // Rejects writer[name], with a new promise if the old one is settled.
  const refuse = (writer, name, error) => {
    if (!writer[name].pending) writer[name] = pending();
    writer[name].reject(error);
  };

  const open = ({ write, close, abort }, mark, size) => ({
    state: 'writable', error: undefined, writer: undefined, queue: [], size: 0, mark, sizeOf: size, write, close, abort,
    started: false, backpressure: mark <= 0, writes: [], writing: undefined, closeRequest: undefined, closing: undefined,
    aborting: undefined, controller: undefined, signal: undefined,
  });
  const begin = (w, started) => {
    started.then(() => { w.started = true; advance(w); }, (error) => { w.started = true; reject(w, error); });
  };
  const clear = (w) => { w.write = w.close = w.abort = w.sizeOf = undefined; };
  const ending = (w) => w.closeRequest !== undefined || w.closing !== undefined;
  const startErroring = (w, reason) => {
    w.state = 'erroring';
    w.error = reason;
    if (w.writer) refuse(w.writer, 'ready', reason);
    if (!w.writing && !w.closing && w.started) finishErroring(w);
  };
  const finishErroring = (w) => {
    w.state = 'errored';
    w.queue = [];
    w.size = 0;
    for (const write of w.writes.splice(0)) write.reject(w.error);
    const { aborting } = w;
    w.aborting = undefined;
    if (!aborting || aborting.late) {
      aborting?.reject(w.error);
      rejectClosed(w);
      return;
    }
    const { abort } = w;
    clear(w);
    promised(abort, aborting.reason).then(() => { aborting.resolve(); rejectClosed(w); }, (error) => { aborting.reject(error); rejectClosed(w); });
  };
  const rejectClosed = (w) => {
    w.closeRequest?.reject(w.error);
    w.closeRequest = undefined;
    w.writer?.closed.reject(w.error);
  };
  const reject = (w, error) => { if (w.state === 'writable') startErroring(w, error); else finishErroring(w); };
  const fault = (w, error) => {
    if (w.state !== 'writable') return;
    clear(w);
    startErroring(w, error);
  };
  const backpressure = (w) => {
    const now = w.mark - w.size <= 0;
    if (w.writer && now !== w.backpressure) {
      if (now) w.writer.ready = pending();
      else w.writer.ready.resolve();
    }
    w.backpressure = now;
  };
  const shift = (w) => {
    w.size = Math.max(0, w.size - w.queue.shift().size);
  };
  const advance = (w) => {
    if (!w.started || w.writing) return;
    if (w.state === 'erroring') { finishErroring(w); return; }
    if (w.queue.length === 0) return;
    const { chunk } = w.queue[0];
    if (chunk === CLOSE) {
      w.closing = w.closeRequest;
      w.closeRequest = undefined;
      shift(w);
      const { close } = w;
      clear(w);
      promised(close).then(() => closed(w), (error) => {
        w.closing.reject(error);
        w.closing = undefined;
        w.aborting?.reject(error);
        w.aborting = undefined;
        reject(w, error);
      });
      return;
    }
    w.writing = w.writes.shift();
    promised(w.write, chunk).then(() => {
      w.writing.resolve();
      w.writing = undefined;
      if (w.queue.length > 0) shift(w);
      if (!ending(w) && w.state === 'writable') backpressure(w);
      advance(w);
    }, (error) => {
      if (w.state === 'writable') clear(w);
      w.writing.reject(error);
      w.writing = undefined;
      reject(w, error);
    });
  };
  const closed = (w) => {
    w.closing.resolve();
    w.closing = undefined;
    if (w.state === 'erroring') {
      w.error = undefined;
      w.aborting?.resolve();
      w.aborting = undefined;
    }
    w.state = 'closed';
    w.writer?.closed.resolve();
  };

  const abort = (w, reason) => {
    if (w.state === 'closed' || w.state === 'errored') return Promise.resolve();
    w.signal?.abort(reason);
    w.aborted = { reason };
    if (w.state === 'closed' || w.state === 'errored') return Promise.resolve();
    if (w.aborting) return w.aborting.promise;
    const late = w.state === 'erroring';
    w.aborting = Object.assign(pending(), { late, reason: late ? undefined : reason });
    const { promise } = w.aborting;
    if (!late) startErroring(w, reason);
    return promise;
  };
  const rejected = (error) => silent(Promise.reject(error));
  const close = (w) => {
    if (w.state === 'closed' || w.state === 'errored') return rejected(new TypeError(`the stream is ${w.state}`));
    if (ending(w)) return rejected(new TypeError('the stream is being closed'));
    const { promise } = (w.closeRequest = pending());
    if (w.writer && w.backpressure && w.state === 'writable') w.writer.ready.resolve();
    w.queue.push({ chunk: CLOSE, size: 0 });
    advance(w);
    return promise;
  };
  const write = (writer, chunk) => {
    const { w } = writer;
    let size = 1;
    if (w.sizeOf) {
      try { size = w.sizeOf(chunk); } catch (error) { fault(w, error); }
    }
    if (writer.w !== w) return rejected(new TypeError('the writer was released'));
    if (w.state === 'errored') return rejected(w.error);
    if (ending(w) || w.state === 'closed') return rejected(new TypeError('the stream is closed or being closed'));
    if (w.state === 'erroring') return rejected(w.error);
    const written = pending();
    w.writes.push(written);
    try {
      w.queue.push({ chunk, size: sized(size) });
      w.size += Number(size);
      if (!ending(w) && w.state === 'writable') backpressure(w);
      advance(w);
    } catch (error) { fault(w, error); }
    return written.promise;
  };
  const lock = (stream) => {
    const w = stateOf(stream);
    if (w.writer) fail('the stream is locked');
    const writer = { w, closed: pending(), ready: undefined };
    w.writer = writer;
    if (w.state === 'closed') writer.closed.resolve();
    else if (w.state === 'errored') writer.closed.reject(w.error);
    if (w.state === 'writable' && !ending(w) && w.backpressure) writer.ready = pending();
    else writer.ready = w.state === 'erroring' || w.state === 'errored' ? failed(w.error) : settled();
    return writer;
  };
  const unlock = (writer) => {
    const { w } = writer;
    if (!w) return;
    const error = new TypeError('the writer was released');
    refuse(writer, 'ready', error);
    refuse(writer, 'closed', error);
    w.writer = writer.w = undefined;
  };
  const desired = (w) => (w.state === 'errored' || w.state === 'erroring' ? null : w.state === 'closed' ? 0 : w.mark - w.size);

  class WritableStreamDefaultController {
    #w;
    constructor(key, w) { check(key); this.#w = w; }
    get signal() {
      const w = this.#w;
      if (!w.signal) {
        w.signal = new (use('abort').AbortController)();
        if (w.aborted) w.signal.abort(w.aborted.reason);
      }
      return w.signal.signal;
    }
    error(error) { fault(this.#w, error); }
  }
  const guard = (run) => { try { return run(); } catch (error) { return rejected(error); } };
  class WritableStreamDefaultWriter {
    #writer;
    constructor(stream) {
      need(arguments, 1, 'WritableStreamDefaultWriter');
      this.#writer = lock(stream);
    }
    get closed() { return guard(() => this.#writer.closed.promise); }
    get ready() { return guard(() => this.#writer.ready.promise); }
    get desiredSize() { return desired(this.#state()); }
    abort(reason) { return guard(() => abort(this.#state(), reason)); }
    close() { return guard(() => close(this.#state())); }
    releaseLock() { unlock(this.#writer); }
    write(chunk) { return guard(() => this.#state() && write(this.#writer, chunk)); }
    #state() { return this.#writer.w ?? fail('the writer was released'); }
  }

  let stateOf;
  const unlocked = (w, what) => (w.writer ? fail(`${what}: the stream is locked`) : w);
  class WritableStream {
    #w;
    constructor(sink, strategy) {
      if (sink === hidden) { this.#w = strategy; return; }
      if (sink !== undefined && !isObject(sink)) fail('WritableStream: the sink must be an object');
      sink ??= {};
      strategy = dictionary(strategy, 'WritableStream');
      if (sink.type !== undefined) throw new RangeError('WritableStream: a sink has no type');
      const [aborting, closing, start, writing] = ['abort', 'close', 'start', 'write'].map((name) => algorithm(sink, name));
      const size = sizeOf(strategy);
      const w = (this.#w = open({ close: closing, abort: aborting }, highWaterMark(strategy, 1), size));
      w.controller = new WritableStreamDefaultController(hidden, w);
      if (writing) w.write = (chunk) => writing(chunk, w.controller);
      begin(w, Promise.resolve(start?.(w.controller)));
    }
    get locked() { return this.#w.writer !== undefined; }
    abort(reason) { return guard(() => abort(unlocked(this.#w, 'abort'), reason)); }
    close() { return guard(() => close(unlocked(this.#w, 'close'))); }
    getWriter() { return this.#w && new WritableStreamDefaultWriter(this); }
    static { stateOf = (stream) => (isObject(stream) && #w in stream ? stream.#w : fail('the argument is not a WritableStream')); }
  }
  expose(WritableStream, WritableStreamDefaultWriter, WritableStreamDefaultController);

  // A stream whose sink is in the library.
  const make = (sink, mark, size, started) => {
    const w = open(sink, mark, size);
    begin(w, started);
    return { stream: new WritableStream(hidden, w), state: w };
  };
  return {
    WritableStream, WritableStreamDefaultWriter, WritableStreamDefaultController,
    isLocked: (stream) => stateOf(stream).writer !== undefined, stateOf, lock, unlock, write, close, abort, fault, ending, make,
  };
})
