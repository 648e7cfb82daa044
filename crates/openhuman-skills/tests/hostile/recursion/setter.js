// expect: ok /RangeError|InternalError|SyntaxError/
const o = { set x(v) { o.x = v; } };
try { o.x = 1; } catch (e) { return e.name; }
