// expect: timeout | stalled | throws /stack|memory|argument/
// after: any
const a = new Array(200000).fill(0x1f600);
for (;;) String.fromCodePoint.apply(null, a.slice(0, 60000));
