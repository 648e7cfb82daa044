// expect: timeout | stalled
// after: any
const a = new Array(200000).fill(1);
for (;;) JSON.stringify(a);
