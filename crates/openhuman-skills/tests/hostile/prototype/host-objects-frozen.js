// expect: ok /1/
Object.freeze(db); Object.freeze(state); Object.freeze(net); Object.freeze(globalThis.console);
state.set('a', 1); return db.get('SELECT 1 AS a').a;
