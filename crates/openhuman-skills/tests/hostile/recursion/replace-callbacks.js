// expect: ok /RangeError|InternalError|SyntaxError/
const f = () => 'a'.replace(/a/, f);
try { return f(); } catch (e) { return e.name; }
