// expect: timeout | throws /^null|memory/
// after: any
// memory: 64
const s = 'é'.repeat(200000);
for (;;) decodeURIComponent(encodeURIComponent(s));
