// expect: ok /InternalError|null|RangeError|TypeError|Error/ | throws /memory|null/
const s = 'é'.repeat(2000000), kept = [], e = new TextEncoder();
try { for (;;) kept.push(e.encode(s)); } catch (e) { return String(e && e.name); }
