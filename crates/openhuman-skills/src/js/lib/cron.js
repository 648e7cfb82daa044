// Schedules.
(function (op) {
  'use strict';
  const { parse } = JSON;
  const register = op('cron.register');
  const unregister = op('cron.unregister');
  const list = op('cron.list');
  const cron = {
    register: (id, expression) => { register(String(id), String(expression)); return true; },
    unregister: (id) => unregister(String(id)),
    list: () => parse(list()),
  };
  return { cron };
})
