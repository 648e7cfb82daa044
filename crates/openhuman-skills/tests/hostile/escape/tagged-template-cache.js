// expect: ok /./ | timeout | throws /memory|null/
const seen = new Set(); const tag = (s) => seen.add(s);
for (let i = 0; i < 20000; i++) new Function('tag', 'return tag`x`')(tag);
return String(seen.size);
