// expect: ok /^(done|throws)/
// memory: 32
const b = new ArrayBuffer(4096); const a = new Uint8Array(b); for (let i = 0; i < 4096; i++) a[i] = i * 7; let n = 0;
try { a.sort((x, y) => { if (++n === 50) structuredClone(b, { transfer: [b] }); return x - y; }); return `done ${a.length}`; } catch (e) { return `throws ${e.message}`; }
