// expect: timeout | stalled | throws /memory/
// after: any
const keep = []; for (let i = 0; i < 60000; i++) keep.push({ a: [] });
for (;;) { const c = {}; c.c = c; }
