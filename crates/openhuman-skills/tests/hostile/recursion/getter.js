// expect: ok /RangeError|InternalError|SyntaxError/
const o = { get x() { return o.x; } };
try { return o.x; } catch (e) { return e.name; }
