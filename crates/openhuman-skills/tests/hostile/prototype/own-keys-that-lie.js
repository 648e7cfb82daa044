// expect: ok /TypeError|set/
const p = new Proxy({}, { ownKeys: () => ['a', 'a', Symbol.iterator] });
try { state.setPartial(p); return 'set'; } catch (e) { return e.name; }
