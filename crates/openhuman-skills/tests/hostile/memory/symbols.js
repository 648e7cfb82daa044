// expect: ok /memory|InternalError|null|RangeError/i | throws /memory|null/i
const a = [];
try { for (;;) a.push(Symbol('a description that is not short')); } catch (e) { return String(e && e.name); }
