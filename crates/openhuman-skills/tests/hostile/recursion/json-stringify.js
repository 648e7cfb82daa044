// expect: ok /RangeError|InternalError|SyntaxError/
let o = 1; for (let i = 0; i < 50000; i++) o = [o];
try { return JSON.stringify(o).length; } catch (e) { return e.name; }
