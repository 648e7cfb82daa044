// expect: timeout | stalled | throws /memory|length|range/i
// after: any
return Array.from({ length: 2 ** 32 - 1 }).length;
