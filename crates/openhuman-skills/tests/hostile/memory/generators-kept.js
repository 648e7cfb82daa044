// expect: ok /memory|InternalError|null|RangeError/i | throws /memory|null/i
const a = []; function* g() { const own = new Array(100); yield own; }
try { for (;;) { const x = g(); x.next(); a.push(x); } } catch (e) { return String(e && e.name); }
