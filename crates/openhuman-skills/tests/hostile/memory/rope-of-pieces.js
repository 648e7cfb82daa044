// expect: ok /memory|InternalError|null|RangeError/i | throws /memory|null/i
let s = ''; const piece = 'y'.repeat(1000);
try { for (let i = 0; ; i++) s += piece + i; } catch (e) { return String(e && e.name); }
