// expect: timeout
// after: any
// memory: 64
const s = 'a'.repeat(1e6), t = 'a'.repeat(5e5) + 'b';
for (;;) s.includes(t);
