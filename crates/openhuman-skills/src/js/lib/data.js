// Text files of the skill.
(function (op) {
  'use strict';
  const read = op('data.read');
  const write = op('data.write');
  return { data: { read: (name) => read(String(name)), write: (name, content) => { write(String(name), String(content)); } } };
})
