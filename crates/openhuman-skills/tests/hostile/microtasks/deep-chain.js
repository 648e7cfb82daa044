// expect: ok /99999/ | timeout | throws /memory|null/
// memory: 64
let p = Promise.resolve();
for (let i = 0; i < 100000; i++) p = p.then(() => i);
return p;
