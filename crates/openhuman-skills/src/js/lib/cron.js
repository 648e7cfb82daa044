// Schedules.
(function (op) {
  'use strict';
  const { parse, stringify } = JSON;
  const register = op('cron.register');
  const unregister = op('cron.unregister');
  const list = op('cron.list');
  const cron = {
    register: (id, expression, options) => register(String(id), String(expression), options === undefined ? null : stringify(options)),
    unregister: (id) => unregister(String(id)),
    list: () => parse(list()),
  };
  return { cron };
})
