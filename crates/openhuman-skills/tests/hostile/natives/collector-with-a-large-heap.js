// expect: timeout | throws /^null|memory/
// after: any
// memory: 64
const keep = []; for (let i = 0; i < 60000; i++) keep.push({ a: [] });
for (;;) { const c = {}; c.c = c; }
