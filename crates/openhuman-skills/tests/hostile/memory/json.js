// expect: ok /RangeError|InternalError|null/ | throws /memory|null/ | timeout
// limit: 3000
try { let s = '[' + '{"a":1},'.repeat(500000) + '1]'; return JSON.parse(s).length; } catch (e) { return String(e && e.name); }
