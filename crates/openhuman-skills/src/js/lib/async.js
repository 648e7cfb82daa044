// Promises that the host settles. `start(hostFunction, ...args)` calls it with an operation's number in front.
(function (op) {
  'use strict';
  const { parse } = JSON;
  const abort = op('async.cancel');
  const waiting = new Map();
  let last = 0;

  // Returns { id, promise }. The host function may throw; then nothing was started.
  const begin = (run, ...args) => {
    const id = ++last;
    run(id, ...args);
    const promise = new Promise((resolve, reject) => { waiting.set(id, { resolve, reject }); });
    return { id, promise };
  };
  const start = (run, ...args) => {
    try { return begin(run, ...args).promise; } catch (error) { return Promise.reject(error); }
  };
  // Ends an operation: the host gives it up, and its promise is rejected with `reason`.
  const cancel = (id, reason) => {
    const promise = waiting.get(id);
    if (!promise) return;
    waiting.delete(id);
    abort(id);
    promise.reject(reason);
  };
  const settle = (id, how, value) => {
    const promise = waiting.get(id);
    if (!promise) return;
    waiting.delete(id);
    if (how === 'error') promise.reject(value);
    else promise.resolve(how === 'json' ? parse(value) : value);
  };
  return { begin, start, cancel, settle };
})
