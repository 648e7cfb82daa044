// expect: timeout
// after: any
// memory: 64
const n = (1n << 1000000n) - 1n;
for (;;) n.toString();
