// expect: ok /RangeError|InternalError|SyntaxError/
const o = { get x() { return structuredClone(o); } };
try { return typeof structuredClone(o); } catch (e) { return e.name; }
