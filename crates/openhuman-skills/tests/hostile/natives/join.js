// expect: timeout | stalled | throws /memory|length|string/i
// after: any
return [].join.call({ length: 2 ** 32 - 1 }, '');
