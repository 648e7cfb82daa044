// expect: ok /RangeError|InternalError|DataCloneError|object/
let o = {}; for (let i = 0; i < 50000; i++) o = { o };
try { return typeof structuredClone(o); } catch (e) { return e.name; }
