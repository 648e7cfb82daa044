// expect: timeout
// after: any
// memory: 64
const s = '(?:a|b)?'.repeat(3000);
for (let i = 0; ; i++) new RegExp(s + i);
