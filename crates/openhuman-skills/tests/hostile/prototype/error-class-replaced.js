// expect: ok /object|number/
// after: any
globalThis.Error = globalThis.TypeError = function () { return 7; };
try { db.exec('not sql'); } catch (e) { return typeof e; }
