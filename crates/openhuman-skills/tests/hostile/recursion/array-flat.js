// expect: ok /RangeError|InternalError|1/
let a = [1]; for (let i = 0; i < 50000; i++) a = [a];
try { return String(a.flat(Infinity).length); } catch (e) { return e.name; }
