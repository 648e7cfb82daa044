// expect: ok /RangeError|InternalError|SyntaxError/
const p = new Proxy({}, { get(t, k, r) { return r[k + 1]; } });
try { return p.a; } catch (e) { return e.name; }
