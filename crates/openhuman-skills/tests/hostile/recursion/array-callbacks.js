// expect: ok /RangeError|InternalError|SyntaxError/
const f = () => [1].map(f);
try { return f(); } catch (e) { return e.name; }
