// expect: ok /^done/
// memory: 32
const out = [];
const odd = (f) => { const b = new ArrayBuffer(4096, { maxByteLength: 8192 }); const a = new Uint8Array(b); try { out.push(typeof f(a, b, () => b.resize(1))); } catch (e) { out.push(e.name); } };
odd((a, b, shrink) => { const p = crypto.subtle.digest('SHA-256', a); shrink(); p.catch(() => {}); return 1; });
odd((a, b, shrink) => new TextDecoder().decode(a, { get stream() { shrink(); return false; } }));
odd((a, b, shrink) => new Blob([a, { toString() { shrink(); return 'x'; } }, a]).size);
odd((a, b, shrink) => new TextEncoder().encodeInto({ toString() { shrink(); return 'x'.repeat(5000); } }, a));
odd((a, b, shrink) => crypto.subtle.encrypt({ get name() { shrink(); return 'AES-GCM'; }, iv: a }, {}, a).catch(() => {}));
odd((a, b, shrink) => { const tracking = new Uint8Array(b, 8); shrink(); return crypto.getRandomValues(tracking); });
odd((a, b, shrink) => { const fixed = new Uint8Array(b, 8, 100); shrink(); return crypto.getRandomValues(fixed); });
odd((a, b, shrink) => { const view = new DataView(b, 100); shrink(); return new Blob([view]).size; });
return `done ${out}`;
