// expect: throws /deep/
Error.stackTraceLimit = 2 ** 31;
const f = (n) => { if (n) f(n - 1); else throw new Error('deep'); };
f(500);
