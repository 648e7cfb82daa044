// expect: ok /memory|InternalError|null|RangeError/i | throws /memory|null/i
const kept = [];
try { for (;;) kept.push(crypto.getRandomValues(new Uint8Array(65536))); } catch (e) { return String(e && e.name); }
