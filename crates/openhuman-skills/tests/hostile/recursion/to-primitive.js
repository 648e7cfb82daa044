// expect: ok /RangeError|InternalError|SyntaxError/
const o = { [Symbol.toPrimitive]() { return o + 1; } };
try { return o + 1; } catch (e) { return e.name; }
