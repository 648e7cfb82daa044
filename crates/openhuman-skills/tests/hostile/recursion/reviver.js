// expect: ok /RangeError|InternalError|SyntaxError/
const f = () => JSON.parse('[1]', f);
try { return f(); } catch (e) { return e.name; }
