// expect: ok /RangeError|InternalError|null/ | throws /memory|null/ | timeout
// limit: 3000
try { return 'ab'.repeat(3000000).split('').length; } catch (e) { return String(e && e.name); }
