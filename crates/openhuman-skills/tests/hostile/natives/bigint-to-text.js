// expect: timeout | stalled
// after: any
const n = (1n << 1000000n) - 1n;
for (;;) n.toString();
