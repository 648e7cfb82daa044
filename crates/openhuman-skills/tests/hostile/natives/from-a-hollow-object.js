// expect: timeout | throws /^null|memory|length|range/i
// after: any
// memory: 64
return Array.from({ length: 2 ** 32 - 1 }).length;
