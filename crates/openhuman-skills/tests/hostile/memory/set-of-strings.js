// expect: ok /memory|InternalError|null|RangeError/i | throws /memory|null/i
const m = new Set();
try { for (let i = 0; ; i++) m.add('key' + i); } catch (e) { return String(e && e.name); }
