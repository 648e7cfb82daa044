// expect: throws /deep/
const f = async (n) => { if (n) { await f(n - 1); await null; } throw new Error('deep ' + n); };
return f(300);
