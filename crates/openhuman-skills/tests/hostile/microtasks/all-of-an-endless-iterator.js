// expect: timeout | throws /memory/
return Promise.all({ *[Symbol.iterator]() { for (;;) yield 1; } });
