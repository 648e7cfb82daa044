// expect: ok /RangeError|InternalError|SyntaxError/
const r = (g) => { const h = r.bind(null, g); return h(); };
try { r(1); } catch (e) { return e.name; }
