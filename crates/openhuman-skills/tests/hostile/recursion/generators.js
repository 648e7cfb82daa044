// expect: ok /RangeError|InternalError|SyntaxError/
function* g() { yield* g(); }
try { return String(g().next().value); } catch (e) { return e.name; }
