// TransformStream, after the streams standard: a writable side whose chunks become those of a readable side.
(function (op, use) {
  'use strict';
  const { fail, isObject, dictionary, expose } = use('idl');
  const { make, silent, deferred, highWaterMark, sizeOf, algorithm, promised } = use('streams');
  const out = use('writable');
  const hidden = {};

  class TransformStreamDefaultController {
    #t;
    constructor(key, t) { if (key !== hidden) fail('Illegal constructor'); this.#t = t; }
    get desiredSize() { return this.#t.feed.desired(); }
    enqueue(chunk) {
      const t = this.#t;
      const { feed } = t;
      if (!feed.canEnqueue()) fail('the readable side is closed or being closed');
      try { feed.enqueue(chunk); } catch (error) {
        failWritable(t, error);
        throw feed.state.error;
      }
      if (feed.backpressure() && !t.backpressure) hold(t, true);
    }
    error(error) { fault(this.#t, error); }
    terminate() {
      const t = this.#t;
      if (t.feed.canEnqueue()) t.feed.close();
      failWritable(t, new TypeError('the stream was terminated'));
    }
  }
  // Backpressure of the readable side holds writes back.
  const hold = (t, on) => {
    t.change?.resolve();
    t.change = deferred();
    t.backpressure = on;
  };
  const clear = (t) => { t.transform = t.flush = t.cancel = undefined; };
  const failWritable = (t, error) => {
    clear(t);
    out.fault(t.w, error);
    if (t.backpressure) hold(t, false);
  };
  const fault = (t, error) => {
    t.feed.error(error);
    failWritable(t, error);
  };
  const transform = async (t, chunk) => {
    if (t.backpressure) {
      await t.change.promise;
      if (t.w.state === 'erroring') throw t.w.error;
    }
    try {
      if (t.transform) await t.transform(chunk, t.controller);
      else t.controller.enqueue(chunk);
    } catch (error) {
      fault(t, error);
      throw error;
    }
  };
  // Runs `flush` or `cancel` once, then `then`; what fails goes to `otherwise`.
  const finish = (t, run, args, then, otherwise) => {
    if (t.finished) return t.finished;
    clear(t);
    t.finished = promised(run, ...args).then(then, (error) => { otherwise(error); throw error; });
    return silent(t.finished);
  };

  class TransformStream {
    #t;
    constructor(transformer, writableStrategy, readableStrategy) {
      if (transformer !== undefined && !isObject(transformer)) fail('TransformStream: the transformer must be an object');
      transformer ??= {};
      writableStrategy = dictionary(writableStrategy, 'TransformStream');
      readableStrategy = dictionary(readableStrategy, 'TransformStream');
      const [cancel, flush, start, run] = ['cancel', 'flush', 'start', 'transform'].map((name) => algorithm(transformer, name));
      if (transformer.readableType !== undefined || transformer.writableType !== undefined) throw new RangeError('TransformStream: the sides have no types');
      const mark = highWaterMark(readableStrategy, 0);
      const size = sizeOf(readableStrategy);
      const writableMark = highWaterMark(writableStrategy, 1);
      const { promise: started, resolve: begin } = Promise.withResolvers();
      const t = (this.#t = { transform: run, flush, cancel, backpressure: false, change: undefined, finished: undefined });
      const checkReadable = () => {
        const { state, error } = t.feed.state;
        if (state === 'errored') throw error;
      };
      const { stream: writable, state } = out.make({
        write: (chunk) => transform(t, chunk),
        close: () => finish(t, t.flush, [t.controller], () => {
          checkReadable();
          if (t.feed.canEnqueue()) t.feed.close();
        }, (error) => t.feed.error(error)),
        abort: (reason) => finish(t, t.cancel, [reason], () => {
          checkReadable();
          t.feed.error(reason);
        }, (error) => t.feed.error(error)),
      }, writableMark, sizeOf(writableStrategy), started);
      t.w = state;
      const { stream: readable, feed } = make(() => {
        hold(t, false);
        return t.change.promise;
      }, (reason) => finish(t, t.cancel, [reason], () => {
        if (t.w.state === 'errored') throw t.w.error;
        out.fault(t.w, reason);
        if (t.backpressure) hold(t, false);
      }, (error) => {
        out.fault(t.w, error);
        if (t.backpressure) hold(t, false);
      }), mark, { size, started });
      t.feed = feed;
      t.readable = readable;
      t.writable = writable;
      hold(t, true);
      t.controller = new TransformStreamDefaultController(hidden, t);
      begin(start?.(t.controller));
    }
    get readable() { return this.#t.readable; }
    get writable() { return this.#t.writable; }
  }
  expose(TransformStream, TransformStreamDefaultController);

  return { TransformStream, TransformStreamDefaultController };
})
