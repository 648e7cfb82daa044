// expect: timeout
// after: any
// memory: 64
const a = new Array(50000).fill({});
for (;;) structuredClone(a);
