// expect: timeout | stalled | throws /memory|length|range/i
// after: any
return [].flat.call({ length: 2 ** 53 - 1 });
