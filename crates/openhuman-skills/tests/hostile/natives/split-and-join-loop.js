// expect: timeout | stalled | throws /memory/
// after: any
const s = 'a,'.repeat(100000);
for (;;) s.split(',').join(';');
