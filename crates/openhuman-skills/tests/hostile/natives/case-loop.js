// expect: timeout | throws /^null|memory/
// after: any
// memory: 64
const s = 'ß'.repeat(300000);
for (;;) s.toUpperCase();
