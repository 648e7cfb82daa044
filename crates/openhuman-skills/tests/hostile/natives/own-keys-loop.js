// expect: timeout
// after: any
// memory: 64
const o = {}; for (let i = 0; i < 50000; i++) o['k' + i] = 1;
for (;;) Object.keys(o);
