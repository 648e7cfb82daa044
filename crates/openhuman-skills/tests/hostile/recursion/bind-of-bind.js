// expect: ok /1|RangeError|InternalError/ | throws /stack|memory/
let f = () => 1; for (let i = 0; i < 20000; i++) f = f.bind(null);
try { return String(f()); } catch (e) { return e.name; }
