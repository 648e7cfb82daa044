// expect: ok /^done/
// memory: 32
const out = [];
const gone = () => { const a = new Uint8Array(64); structuredClone(a.buffer, { transfer: [a.buffer] }); return a; };
const attempts = [
  () => crypto.getRandomValues(gone()), () => new TextDecoder().decode(gone()), () => new TextEncoder().encodeInto('abc', gone()),
  () => new Blob([gone()]).size, () => new Response(gone()), () => new Request('https://example.com', { method: 'POST', body: gone() }),
  () => crypto.subtle.digest('SHA-256', gone()), () => crypto.subtle.importKey('raw', gone(), 'AES-GCM', false, ['encrypt']),
  () => db.exec('SELECT ?', [gone()]), () => state.set('k', gone()), () => console.log(gone()), () => structuredClone(gone()),
  () => new DataView(gone().buffer).getInt8(0), () => data.write('x.bin', gone()),
];
for (const f of attempts) { try { const r = f(); if (r && typeof r.then === 'function') r.catch(() => {}); out.push('ok'); } catch (e) { out.push(e.name); } }
return `done ${out}`;
