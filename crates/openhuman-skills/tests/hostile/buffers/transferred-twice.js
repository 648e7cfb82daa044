// expect: ok /^(done|throws)/
const b = new ArrayBuffer(64); const out = [];
for (const list of [[b, b], [new Uint8Array(b)], [{}], [b], [b]]) { try { structuredClone({ b, c: b }, { transfer: list }); out.push('ok'); } catch (e) { out.push(e.name); } }
try { b.transfer(1e9); } catch (e) { out.push(e.name); }
return `done ${out}`;
