// expect: timeout
// after: any
// memory: 64
const s = 'a'.repeat(1e7), t = 'a'.repeat(5e6) + 'b';
for (;;) s.indexOf(t);
