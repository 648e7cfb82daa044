// expect: ok /memory|InternalError|null|RangeError/i | throws /memory|null/i
try { return 'x'.padStart(2 ** 29, 'ab').length; } catch (e) { return String(e && e.name); }
