// expect: ok /TypeError|armed/
try { setTimeout(() => {}, { [Symbol.toPrimitive]: () => ({}) }); return 'armed'; } catch (e) { return e.name; }
