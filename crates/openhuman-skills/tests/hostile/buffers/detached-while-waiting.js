// expect: ok /^(done|throws)/
// memory: 32
return (async () => {
  const b = new ArrayBuffer(1 << 20); const p = crypto.subtle.digest('SHA-256', b); const q = new Blob([b]).arrayBuffer(); const r = new Response(b).arrayBuffer();
  structuredClone(b, { transfer: [b] });
  const all = await Promise.allSettled([p, q, r]);
  return `done ${all.map((x) => x.status)}`;
})();
