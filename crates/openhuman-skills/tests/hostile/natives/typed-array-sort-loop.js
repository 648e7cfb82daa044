// expect: timeout
// after: any
// memory: 64
const a = new Float64Array(5e5).map((_, i) => -i);
for (;;) a.slice().sort();
