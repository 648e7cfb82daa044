// Timers. The host keeps the time, this module keeps the functions.
(function (op, use) {
  'use strict';
  const set = op('timers.set');
  const clear = op('timers.clear');
  const wait = op('timers.sleep');
  const timers = new Map();
  let last = 0;
  const arm = (repeat) => (callback, delay, ...args) => {
    if (typeof callback !== 'function') throw new TypeError('a timer needs a function');
    const id = ++last;
    const ms = Number(delay);
    // As everywhere: what does not fit into 31 bits is no delay.
    set(id, ms <= 2147483647 ? ms : 0, repeat);
    timers.set(id, { callback, args, repeat });
    return id;
  };
  const disarm = (id) => {
    const known = Number(id);
    if (timers.delete(known)) clear(known);
  };
  const report = (error) => { use('console').console.error('timer:', error); };
  const fire = (id) => {
    const timer = timers.get(id);
    if (!timer) return;
    if (!timer.repeat) timers.delete(id);
    try {
      const value = timer.callback.apply(globalThis, timer.args);
      if (value && typeof value.then === 'function') value.then(undefined, report);
    } catch (error) { report(error); }
  };
  return {
    setTimeout: arm(false), setInterval: arm(true), clearTimeout: disarm, clearInterval: disarm,
    sleep: (ms) => { wait(Number(ms) || 0); },
    fire,
  };
})
