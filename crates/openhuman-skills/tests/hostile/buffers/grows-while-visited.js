// expect: ok /^(done|throws)/
// memory: 32
const b = new ArrayBuffer(16, { maxByteLength: 1 << 20 }); const a = new Uint8Array(b); let n = 0;
try { a.forEach(() => { n++; b.resize(Math.min(b.maxByteLength, b.byteLength * 2)); }); for (const x of a) { if (n++ === 40) b.resize(0); } return `done ${n}`; } catch (e) { return `throws ${e.message}`; }
