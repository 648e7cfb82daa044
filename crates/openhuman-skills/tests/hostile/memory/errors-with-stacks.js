// expect: ok /memory|InternalError|null|RangeError/i | throws /memory|null/i
const a = [];
try { for (;;) a.push(new Error('kept')); } catch (e) { return String(e && e.name); }
