// expect: ok /memory|InternalError|null|RangeError/i | throws /memory|null/i
const kept = [], big = new Uint8Array(500000);
try { for (;;) kept.push(structuredClone(big)); } catch (e) { return String(e && e.name); }
