// Published state.
(function (op) {
  'use strict';
  const { parse, stringify } = JSON;
  const { keys: keysOf } = Object;
  const get = op('state.get');
  const put = op('state.set');
  const remove = op('state.delete');
  const keys = op('state.keys');
  const text = (value) => stringify(value) ?? 'null';
  const state = {
    get: (key) => { const json = get(String(key)); return json === undefined || json === null ? null : parse(json); },
    set: (key, value) => { put('{' + stringify(String(key)) + ':' + text(value) + '}'); },
    setPartial: (values) => {
      put('{' + keysOf(values).map((key) => stringify(key) + ':' + text(values[key])).join(',') + '}');
    },
    delete: (key) => { remove(String(key)); },
    keys: () => parse(keys()),
  };
  return { state };
})
