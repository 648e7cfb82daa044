// expect: timeout | stalled
// after: any
const s = '9'.repeat(300000);
for (;;) BigInt(s);
