// expect: timeout | stalled | throws /memory/
// after: any
const s = 'é'.repeat(200000);
for (;;) decodeURIComponent(encodeURIComponent(s));
