// expect: timeout | stalled
// after: any
const a = new Array(50000).fill({});
for (;;) structuredClone(a);
