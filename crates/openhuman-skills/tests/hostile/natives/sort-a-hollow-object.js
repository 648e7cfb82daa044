// expect: timeout | throws /^null|memory|length|range/i
// after: any
// memory: 64
return [].sort.call({ length: 2 ** 53 - 1 });
