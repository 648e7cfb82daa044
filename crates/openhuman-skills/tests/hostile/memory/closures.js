// expect: ok /memory|InternalError|null|RangeError/i | throws /memory|null/i
const a = [];
try { for (;;) a.push(() => a); } catch (e) { return String(e && e.name); }
