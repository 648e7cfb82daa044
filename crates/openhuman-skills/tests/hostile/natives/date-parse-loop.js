// expect: timeout
// after: any
// memory: 64
const s = 'x'.repeat(1000000);
for (;;) Date.parse(s);
