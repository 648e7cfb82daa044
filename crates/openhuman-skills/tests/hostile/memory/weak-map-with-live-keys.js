// expect: ok /memory|InternalError|null|RangeError/i | throws /memory|null/i
const m = new WeakMap(), keep = [];
try { for (;;) { const k = {}; keep.push(k); m.set(k, new Array(100)); } } catch (e) { return String(e && e.name); }
