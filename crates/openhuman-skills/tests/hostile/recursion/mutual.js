// expect: ok /RangeError|InternalError|SyntaxError/
const a = () => b(), b = () => a();
try { a(); } catch (e) { return e.name; }
