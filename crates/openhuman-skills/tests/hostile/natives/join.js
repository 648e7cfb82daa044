// expect: timeout | throws /^null|memory|length|string/i
// after: any
// memory: 64
return [].join.call({ length: 2 ** 32 - 1 }, '');
