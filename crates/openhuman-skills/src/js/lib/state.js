// Published state.
(function (op) {
  'use strict';
  const { parse, stringify } = JSON;
  const get = op('state.get');
  const put = op('state.set');
  const remove = op('state.delete');
  const keys = op('state.keys');
  const state = {
    get: (key) => { const json = get(String(key)); return json === undefined || json === null ? null : parse(json); },
    set: (key, value) => { put(String(key), stringify(value) ?? 'null'); },
    setPartial: (values) => { for (const key of Object.keys(values)) state.set(key, values[key]); },
    delete: (key) => { remove(String(key)); },
    keys: () => parse(keys()),
  };
  return { state };
})
