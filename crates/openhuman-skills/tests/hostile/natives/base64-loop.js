// expect: timeout | throws /^null|memory/
// after: any
// memory: 64
const s = 'x'.repeat(500000);
for (;;) atob(btoa(s));
