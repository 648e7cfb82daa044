// Adding to the user's memory.
(function (op) {
  'use strict';
  const { stringify } = JSON;
  const insert = op('memory.insert');
  return { memory: { insert: (document) => insert(stringify(document) ?? 'null') } };
})
