// expect: ok /TypeError|RangeError|InternalError|null|1073741824/ | throws /memory|null/
try { const b = new ArrayBuffer(8, { maxByteLength: 2 ** 31 }); b.resize(2 ** 30); return String(b.byteLength); } catch (e) { return String(e && e.name); }
