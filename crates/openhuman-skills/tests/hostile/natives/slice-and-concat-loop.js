// expect: timeout | stalled | throws /memory/
// after: any
const a = new Array(300000).fill(1);
for (;;) a.slice().concat();
