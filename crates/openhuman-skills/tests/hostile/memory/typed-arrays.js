// expect: ok /memory|InternalError|null|RangeError/i | throws /memory|null/i
const a = [];
try { for (;;) a.push(new Float64Array(100000).fill(1)); } catch (e) { return String(String(e && e.message)); }
