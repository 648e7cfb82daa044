// expect: timeout | stalled
// after: any
const a = new Uint8Array(8e6);
for (;;) a.reverse();
