// expect: timeout | throws /stack|memory|argument/
// after: any
// memory: 64
const a = new Array(200000).fill(0x1f600);
for (;;) String.fromCodePoint.apply(null, a.slice(0, 60000));
