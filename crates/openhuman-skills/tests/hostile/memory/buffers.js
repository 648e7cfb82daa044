// expect: ok /memory|InternalError|null|RangeError/i | throws /memory|null/i
const a = [];
try { for (;;) a.push(new ArrayBuffer(1024 * 1024)); } catch (e) { return String(String(e && e.message)); }
