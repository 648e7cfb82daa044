// expect: timeout | throws /^null|memory/
// after: any
// memory: 64
const s = 'a,'.repeat(100000);
for (;;) s.split(',').join(';');
