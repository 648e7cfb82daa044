// expect: too-large | timeout | throws /memory|length|string/i
// limit: 500
// after: any
const a = []; a.length = 2 ** 32 - 1;
return a;
