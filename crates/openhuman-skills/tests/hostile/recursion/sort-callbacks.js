// expect: ok /RangeError|InternalError|SyntaxError/
const f = () => [2, 1].sort(f);
try { return f(); } catch (e) { return e.name; }
