// expect: ok /RangeError|InternalError|undefined/ | throws /stack|memory|null/
let p = {}; for (let i = 0; i < 50000; i++) p = new Proxy(p, {});
try { return String(p.x); } catch (e) { return e.name; }
