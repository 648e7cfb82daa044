// expect: ok /./
const o = { toJSON() { state.set('x', o); return 1; } };
try { state.set('x', o); return 'no error'; } catch (e) { return e.name; }
