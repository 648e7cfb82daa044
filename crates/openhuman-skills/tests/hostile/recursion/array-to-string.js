// expect: ok /RangeError|InternalError|0/
let a = []; for (let i = 0; i < 50000; i++) a = [a];
try { return String(a.join().length); } catch (e) { return e.name; }
