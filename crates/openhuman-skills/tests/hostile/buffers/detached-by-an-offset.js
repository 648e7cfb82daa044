// expect: ok /^(done|throws)/
const b = new ArrayBuffer(64); const v = new DataView(b); const out = [];
for (const m of ['setUint8', 'setFloat64', 'setBigInt64', 'getUint32', 'getFloat64']) {
  const c = new ArrayBuffer(64), w = new DataView(c);
  try { w[m]({ valueOf() { structuredClone(c, { transfer: [c] }); return 8; } }, m.includes('Big') ? 1n : 1); out.push('ok'); } catch (e) { out.push(e.name); }
}
return `done ${out}`;
