// expect: ok /^(done|throws)/
// memory: 32
const b = new ArrayBuffer(32768, { maxByteLength: 65536 }); const a = new Float64Array(b); for (let i = 0; i < a.length; i++) a[i] = Math.sin(i); let n = 0;
try { a.sort((x, y) => { if (++n % 100 === 0) b.resize(Math.max(8, b.byteLength - 1024)); return x - y; }); return `done ${a.length}`; } catch (e) { return `throws ${e.message}`; }
