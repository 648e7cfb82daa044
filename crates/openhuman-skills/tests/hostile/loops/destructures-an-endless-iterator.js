// expect: timeout | throws /memory|length|array/
const [a, ...rest] = { *[Symbol.iterator]() { for (;;) yield 0; } };
return rest.length;
