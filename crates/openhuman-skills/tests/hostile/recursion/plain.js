// expect: ok /RangeError|InternalError|SyntaxError/
const f = (n) => f(n + 1) + 1;
try { return f(0); } catch (e) { return e.name; }
