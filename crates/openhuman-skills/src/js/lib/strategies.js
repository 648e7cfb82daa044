// The queuing strategies of the streams standard.
(function (op, use) {
  'use strict';
  const { fail, need, dictionary, expose } = use('idl');

  class CountQueuingStrategy {
    #mark;
    constructor(init) { this.#mark = markOf(init, arguments); }
    get highWaterMark() { return this.#mark; }
    get size() { this.#mark; return count; }
  }
  class ByteLengthQueuingStrategy {
    #mark;
    constructor(init) { this.#mark = markOf(init, arguments); }
    get highWaterMark() { return this.#mark; }
    get size() { this.#mark; return byteLength; }
  }
  const markOf = (init, args) => {
    need(args, 1, 'a queuing strategy');
    const { highWaterMark: mark } = dictionary(init, 'a queuing strategy');
    return mark === undefined ? fail('a queuing strategy needs a highWaterMark') : Number(mark);
  };
  const count = { size: () => 1 }.size;
  const byteLength = { size: (chunk) => chunk.byteLength }.size;
  expose(CountQueuingStrategy, ByteLengthQueuingStrategy);

  return { CountQueuingStrategy, ByteLengthQueuingStrategy };
})
