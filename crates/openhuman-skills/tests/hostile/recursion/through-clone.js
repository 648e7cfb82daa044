// expect: ok /RangeError|InternalError|DataCloneError|object/ | throws /memory|null/
let o = {}; for (let i = 0; i < 50000; i++) o = { o };
try { return typeof structuredClone(o); } catch (e) { return e.name; }
