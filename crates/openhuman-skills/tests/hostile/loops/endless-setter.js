// expect: timeout
const o = { set x(v) { for (;;); } };
o.x = 1;
