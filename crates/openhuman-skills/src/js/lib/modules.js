// Globals that the host adds.
(function (op) {
  'use strict';
  const { stringify } = JSON;
  const call = op('module.call');
  const make = (name, functions) => {
    const module = {};
    for (const fn of functions) {
      module[fn] = (...args) => call(name, fn, args.length === 0 ? '[]' : stringify(args));
    }
    return module;
  };
  return { make };
})
