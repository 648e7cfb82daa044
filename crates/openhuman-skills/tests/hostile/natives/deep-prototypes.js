// expect: timeout
// after: any
// memory: 64
let o = {}; for (let i = 0; i < 100000; i++) o = Object.create(o);
for (;;) o.missing;
