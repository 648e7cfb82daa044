// expect: timeout | stalled
// after: any
const s = 'a'.repeat(1e6), t = 'a'.repeat(5e5) + 'b';
for (;;) s.includes(t);
