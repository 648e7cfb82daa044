// performance.now and timeOrigin, after the high resolution time standard: milliseconds since the skill started, in
// steps of a tenth.
(function (op, use) {
  'use strict';
  const { expose, fail } = use('idl');
  const elapsed = op('performance.now');
  const hidden = {};
  class Performance {
    #origin;
    constructor(key) {
      if (key !== hidden) fail('Illegal constructor');
      this.#origin = Math.round((Date.now() - elapsed()) * 10) / 10;
    }
    get timeOrigin() { return this.#origin; }
    now() { this.#origin; return elapsed(); }
    toJSON() { return { timeOrigin: this.#origin }; }
  }
  expose(Performance);
  return { Performance, performance: new Performance(hidden) };
})
