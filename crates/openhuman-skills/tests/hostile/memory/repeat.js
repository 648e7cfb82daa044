// expect: ok /memory|InternalError|null|RangeError/i | throws /memory|null/i
try { return 'x'.repeat(2 ** 29).length; } catch (e) { return String(e && e.name); }
