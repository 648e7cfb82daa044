// expect: ok /memory|InternalError|null|RangeError/i | throws /memory|null/i
let s = 'x';
try { for (;;) s += s; } catch (e) { return String(e && e.name); }
