// expect: ok /^(done|throws)/
// memory: 32
const gone = new Uint8Array(8); structuredClone(gone.buffer, { transfer: [gone.buffer] });
const out = [];
for (const f of [(a) => a.slice(0, 4), (a) => a.map((x) => x), (a) => a.filter(() => true), (a) => a.subarray(1)]) {
  const a = new Uint8Array(16); a.constructor = { [Symbol.species]: function () { return gone; } };
  try { out.push(f(a).length); } catch (e) { out.push(e.name); }
}
const shared = new ArrayBuffer(32); shared.constructor = { [Symbol.species]: function () { return shared; } };
try { shared.slice(0, 8); out.push('ok'); } catch (e) { out.push(e.name); }
return `done ${out}`;
