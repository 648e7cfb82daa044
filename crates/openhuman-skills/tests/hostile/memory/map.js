// expect: ok /memory|InternalError|null|RangeError/i | throws /memory|null/i
const m = new Map();
try { for (let i = 0; ; i++) m.set(i, {}); } catch (e) { return String(e && e.name); }
