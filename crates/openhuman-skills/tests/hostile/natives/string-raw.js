// expect: timeout | stalled | throws /memory|length|string/i
// after: any
return String.raw({ raw: { length: 2 ** 53 - 1 } });
