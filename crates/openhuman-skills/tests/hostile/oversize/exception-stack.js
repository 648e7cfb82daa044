// expect: throws /small/
const e = new Error('small'); e.stack = '    at x (index.js:1:1)\n'.repeat(100000);
throw e;
