// Events between skills, and hooks on them that fire onHookTriggered.
(function (op) {
  'use strict';
  const { parse, stringify } = JSON;
  const register = op('hooks.register');
  const unregister = op('hooks.unregister');
  const update = op('hooks.update');
  const setEnabled = op('hooks.setEnabled');
  const list = op('hooks.list');
  const emit = op('hooks.emit');
  const gathered = op('hooks.state');
  const json = (value) => stringify(value) ?? 'null';
  const hooks = {
    register: (definition) => register(json(definition)),
    unregister: (id) => unregister(String(id)),
    update: (id, changes) => update(String(id), json(changes)),
    setEnabled: (id, enabled) => setEnabled(String(id), Boolean(enabled)),
    list: () => parse(list()),
    emit: (event) => emit(json(event)),
    getAccumulationState: (id) => parse(gathered(String(id))),
  };
  return { hooks };
})
