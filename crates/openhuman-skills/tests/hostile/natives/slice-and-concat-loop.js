// expect: timeout | throws /^null|memory/
// after: any
// memory: 64
const a = new Array(300000).fill(1);
for (;;) a.slice().concat();
