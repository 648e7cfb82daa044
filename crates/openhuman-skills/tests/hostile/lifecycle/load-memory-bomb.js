// expect: load-fails /memory/
// as: script
// after: any
const a = []; for (;;) a.push(new Array(1000).fill(1));
