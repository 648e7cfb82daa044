// expect: timeout | stalled
// after: any
return [].copyWithin.call({ length: 2 ** 53 - 1 }, 0, 1);
