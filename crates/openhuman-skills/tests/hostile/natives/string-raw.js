// expect: timeout | throws /^null|memory|length|string/i
// after: any
// memory: 64
return String.raw({ raw: { length: 2 ** 53 - 1 } });
