// expect: timeout
// after: any
// memory: 64
const s = '9'.repeat(300000);
for (;;) BigInt(s);
