// expect: timeout | stalled | throws /memory/
// after: any
const s = 'ß'.repeat(300000);
for (;;) s.toUpperCase();
