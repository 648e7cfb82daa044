// expect: ok /TypeError|undefined|null/
const f = function () { return f.caller; };
try { return String(f()); } catch (e) { return e.name; }
