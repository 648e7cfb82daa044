// expect: ok /RangeError|InternalError|null/ | throws /memory|null/ | timeout
// limit: 3000
let n = 1n;
try { for (;;) n = n * n + (1n << 64n); } catch (e) { return String(e && e.name); }
