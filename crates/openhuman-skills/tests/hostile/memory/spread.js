// expect: ok /memory|InternalError|null|RangeError/i | throws /memory|null/i
try { const a = new Array(3000000).fill(0); return [...a, ...a, ...a, ...a].length; } catch (e) { return String(e && e.name); }
