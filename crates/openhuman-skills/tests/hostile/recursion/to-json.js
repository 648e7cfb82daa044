// expect: ok /RangeError|InternalError|SyntaxError/
const o = { toJSON() { return JSON.stringify(o); } };
try { return JSON.stringify(o); } catch (e) { return e.name; }
