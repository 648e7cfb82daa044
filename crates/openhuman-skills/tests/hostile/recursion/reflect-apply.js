// expect: ok /RangeError|InternalError|SyntaxError/
const f = () => Reflect.apply(f, null, []);
try { f(); } catch (e) { return e.name; }
