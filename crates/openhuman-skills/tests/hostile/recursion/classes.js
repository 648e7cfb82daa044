// expect: ok /RangeError|InternalError|object/ | throws /stack|memory|null/
let C = class {}; for (let i = 0; i < 20000; i++) C = class extends C {};
try { return typeof new C(); } catch (e) { return e.name; }
