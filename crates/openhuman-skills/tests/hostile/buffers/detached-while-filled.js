// expect: ok /^(done|throws)/
const b = new ArrayBuffer(65536); const a = new Uint8Array(b);
try { a.fill({ valueOf() { structuredClone(b, { transfer: [b] }); return 65; } }, 0, 65536); return `done ${a.length}`; } catch (e) { return `throws ${e.message}`; }
