// What connects streams: pipeTo, tee and asynchronous iteration, after the streams standard.
(function (op, use) {
  'use strict';
  const { fail, method } = use('idl');
  const { stateOf, lock, unlock, read, next, cancel, make, silent } = use('streams');
  const noop = () => {};

  const pipe = (source, destination, { preventClose, preventAbort, preventCancel, signal }) => {
    const out = use('writable');
    if (signal !== undefined && !use('abort').isSignal(signal)) fail('pipeTo: `signal` must be an AbortSignal');
    const s = stateOf(source);
    const w = out.stateOf(destination);
    const reader = lock(source, {});
    const writer = out.lock(destination);
    s.disturbed = true;
    let over = false;
    let writing = Promise.resolve();
    let forget = noop;
    return new Promise((resolve, reject) => {
      const written = async () => {
        let seen;
        do { seen = writing; await seen; } while (seen !== writing);
      };
      const finalize = (failure) => {
        out.unlock(writer);
        unlock(reader);
        forget();
        if (failure) reject(failure.error);
        else resolve();
      };
      const shutdown = async (action, failure) => {
        if (over) return;
        over = true;
        if (w.state === 'writable' && !out.ending(w)) await written();
        try { await action?.(); } catch (error) { failure = { error }; }
        finalize(failure);
      };
      if (signal) {
        const abort = () => {
          const error = signal.reason;
          shutdown(() => Promise.all([
            preventAbort || w.state !== 'writable' ? undefined : out.abort(w, error),
            preventCancel || s.state !== 'readable' ? undefined : cancel(s, error),
          ]), { error });
        };
        if (signal.aborted) { abort(); return; }
        forget = use('abort').whenAborted(signal, abort);
      }
      const sourceFailed = (error) => shutdown(preventAbort ? undefined : () => out.abort(w, error), { error });
      const destinationFailed = (error) => shutdown(preventCancel ? undefined : () => cancel(s, error), { error });
      const sourceClosed = () => shutdown(preventClose ? undefined : () => {
        if (out.ending(w) || w.state === 'closed') return undefined;
        return w.state === 'errored' ? Promise.reject(w.error) : out.close(w);
      });
      if (s.state === 'errored') sourceFailed(s.error);
      else reader.closed.promise.then(undefined, (error) => { if (s.state === 'errored') sourceFailed(error); });
      if (w.state === 'errored') destinationFailed(w.error);
      else writer.closed.promise.then(undefined, (error) => { if (w.state === 'errored') destinationFailed(error); });
      if (s.state === 'closed') sourceClosed();
      else reader.closed.promise.then(() => sourceClosed(), noop);
      if (out.ending(w) || w.state === 'closed') destinationFailed(new TypeError('the destination is closed or being closed'));

      const step = () => new Promise((more, stop) => read(s, {
        chunk: (chunk) => { writing = out.write(writer, chunk).then(noop, noop); more(true); },
        close: () => more(false),
        error: stop,
      }));
      const loop = async () => {
        while (!over) {
          await writer.ready.promise;
          if (over || !(await step())) return;
        }
      };
      silent(loop());
    });
  };

  const tee = (stream) => {
    const s = stateOf(stream);
    const reader = lock(stream, {});
    const { promise: cancelled, resolve: done } = Promise.withResolvers();
    const branches = [];
    let reading = false;
    let again = false;
    const live = () => branches.filter((branch) => !branch.off);
    const pull = () => {
      if (reading) { again = true; return; }
      reading = true;
      read(s, {
        chunk: (chunk) => queueMicrotask(() => {
          again = false;
          const to = live();
          to.forEach((branch, index) => branch.feed.enqueue(s.bytes && index > 0 ? chunk.slice() : chunk));
          reading = false;
          if (again) pull();
        }),
        close: () => {
          reading = false;
          for (const branch of live()) branch.feed.close();
          if (live().length > 0) done();
        },
        error: () => { reading = false; },
      });
    };
    for (let index = 0; index < 2; index++) {
      const branch = { off: false, reason: undefined };
      const made = make(pull, (reason) => {
        branch.off = true;
        branch.reason = reason;
        if (live().length === 0) done(cancel(s, branches.map((each) => each.reason)));
        return cancelled;
      }, s.bytes ? 0 : 1, { bytes: s.bytes });
      Object.assign(branch, made);
      branches.push(branch);
    }
    reader.closed.promise.then(undefined, (error) => {
      for (const branch of branches) branch.feed.error(error);
      if (live().length > 0) done();
    });
    return branches.map((branch) => branch.stream);
  };

  const AsyncIterator = Object.getPrototypeOf(Object.getPrototypeOf(async function* () { /* only its prototype */ }.prototype));
  class Values {
    #reader; #keep; #finished = false; #last;
    constructor(stream, keep) {
      this.#reader = lock(stream, {});
      this.#keep = keep;
    }
    next() { return this.#after(() => this.#step()); }
    return(value) { return this.#after(() => this.#end(value)); }
    #after(run) {
      this.#last = this.#last ? this.#last.then(run, run) : run();
      return this.#last;
    }
    async #step() {
      if (this.#finished) return { value: undefined, done: true };
      let result;
      try { result = await next(this.#reader.s); } catch (error) {
        this.#finished = true;
        unlock(this.#reader);
        throw error;
      }
      if (result.done) {
        this.#finished = true;
        unlock(this.#reader);
      }
      return result;
    }
    async #end(value) {
      if (this.#finished) return { value, done: true };
      this.#finished = true;
      const { s } = this.#reader;
      const ended = this.#keep ? undefined : cancel(s, value);
      unlock(this.#reader);
      await ended;
      return { value, done: true };
    }
  }
  delete Values.prototype.constructor;
  for (const name of ['next', 'return']) method(Values.prototype, name, Values.prototype[name]);
  Object.setPrototypeOf(Values.prototype, AsyncIterator);

  return { pipe, tee, values: (stream, { preventCancel }) => new Values(stream, Boolean(preventCancel)) };
})
