// expect: timeout
// after: any
// memory: 64
const s = 'a'.repeat(1e7), t = 'b' + 'a'.repeat(5e6);
for (;;) s.lastIndexOf(t);
