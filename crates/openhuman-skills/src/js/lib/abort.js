// AbortController and AbortSignal, after the DOM standard.
(function (op, use) {
  'use strict';
  const { fail, need, expose } = use('idl');
  const { EventTarget, handlers, fire, create } = use('events');
  const secret = {};

  let make, abort, isSignal, whenAborted;
  class AbortSignal extends EventTarget {
    #aborted = false; #reason; #steps = new Set();
    // For a signal made by `any`: the signals it follows, none of them made by `any` itself.
    #sources; #dependents;
    constructor(key) {
      if (key !== secret) fail('Illegal constructor');
      super();
    }
    static abort(reason) {
      const signal = make();
      abort(signal, reason);
      return signal;
    }
    static timeout(ms) {
      need(arguments, 1, 'AbortSignal.timeout');
      ms = Math.trunc(Number(ms));
      if (!(ms >= 0 && ms <= Number.MAX_SAFE_INTEGER)) fail('AbortSignal.timeout: the delay must be a number of milliseconds');
      const signal = make();
      globalThis.setTimeout(() => abort(signal, new DOMException('The operation was aborted due to timeout', 'TimeoutError')), ms);
      return signal;
    }
    static any(signals) {
      need(arguments, 1, 'AbortSignal.any');
      const all = [...signals];
      if (!all.every(isSignal)) fail('AbortSignal.any: every element must be an AbortSignal');
      const result = make();
      const first = all.find((signal) => signal.#aborted);
      if (first) {
        result.#aborted = true;
        result.#reason = first.#reason;
        return result;
      }
      result.#sources = new Set();
      for (const signal of all) for (const source of signal.#sources ?? [signal]) {
        if (result.#sources.has(source)) continue;
        result.#sources.add(source);
        (source.#dependents ??= new Set()).add(result);
      }
      return result;
    }
    get aborted() { return this.#aborted; }
    get reason() { return this.#reason; }
    throwIfAborted() { if (this.#aborted) throw this.#reason; }
    static {
      make = () => new AbortSignal(secret);
      isSignal = (value) => typeof value === 'object' && value !== null && #aborted in value;
      abort = (signal, reason = new DOMException('This operation was aborted', 'AbortError')) => {
        if (signal.#aborted) return;
        const all = [signal, ...(signal.#dependents ?? [])].filter((each) => !each.#aborted);
        for (const each of all) {
          each.#aborted = true;
          each.#reason = reason;
        }
        signal.#dependents = undefined;
        for (const each of all) {
          const steps = [...each.#steps];
          each.#steps.clear();
          for (const step of steps) step(reason);
          fire(each, create('abort'));
        }
      };
      // Runs `step` with the reason when the signal aborts; the function that comes back takes it away.
      whenAborted = (signal, step) => {
        signal.#steps.add(step);
        return () => signal.#steps.delete(step);
      };
    }
  }
  handlers(AbortSignal.prototype, 'abort');

  class AbortController {
    #signal = make();
    get signal() { return this.#signal; }
    abort(reason) { abort(this.#signal, reason); }
  }
  expose(AbortSignal, AbortController);

  return { AbortController, AbortSignal, isSignal, whenAborted };
})
