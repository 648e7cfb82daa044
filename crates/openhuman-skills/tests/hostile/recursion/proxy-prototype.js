// expect: timeout | ok /RangeError|InternalError/
const p = new Proxy({}, { getPrototypeOf: () => p });
try { return String(p instanceof Array); } catch (e) { return e.name; }
