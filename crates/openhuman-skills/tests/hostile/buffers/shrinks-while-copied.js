// expect: ok /^(done|throws)/
// memory: 32
const out = [];
for (const f of [
  (a, evil) => a.copyWithin(0, evil, 60000), (a, evil) => a.fill(1, evil), (a, evil) => a.subarray(evil).fill(3),
  (a, evil) => a.slice(evil), (a, evil) => a.set([1, 2, 3], evil), (a, evil) => a.indexOf(7, evil), (a, evil) => a.includes(undefined, evil),
  (a, evil) => a.with(evil, 3), (a, evil) => a.at(evil), (a, evil) => a.lastIndexOf(0, evil), (a, evil) => a.toReversed().with(evil, 1),
]) {
  const b = new ArrayBuffer(65536, { maxByteLength: 131072 }); const a = new Uint8Array(b);
  try { f(a, { valueOf() { b.resize(16); return 8; } }); out.push('ok'); } catch (e) { out.push(e.name); }
}
return `done ${out}`;
