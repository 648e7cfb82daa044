// expect: ok /memory|InternalError|null|RangeError/i | throws /memory|null/i
try { return new ArrayBuffer(2 ** 33).byteLength; } catch (e) { return String(e && e.name); }
