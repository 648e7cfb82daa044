// expect: timeout
// after: any
// memory: 64
const a = new Uint8Array(8e6);
for (;;) a.reverse();
