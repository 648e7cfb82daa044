// expect: timeout | stalled
// after: any
const s = 'x'.repeat(1000000);
for (;;) Date.parse(s);
