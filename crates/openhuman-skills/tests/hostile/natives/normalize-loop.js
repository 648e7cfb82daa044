// expect: timeout | throws /^null|memory/
// after: any
// memory: 64
const s = 'é'.repeat(300000);
for (;;) s.normalize('NFD');
