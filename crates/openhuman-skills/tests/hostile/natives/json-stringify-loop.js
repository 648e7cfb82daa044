// expect: timeout
// after: any
// memory: 64
const a = new Array(200000).fill(1);
for (;;) JSON.stringify(a);
