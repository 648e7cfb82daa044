// expect: timeout
let s = 'abc';
for (;;) s = (s + 'x').slice(1);
