// expect: ok /memory|InternalError|null|RangeError/i | throws /memory|null/i
let s = 'xé';
try { for (;;) { s += s; s.charCodeAt(s.length - 1); } } catch (e) { return String(e && e.name); }
