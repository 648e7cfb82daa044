// expect: timeout | stalled
// after: any
return [].unshift.call({ length: 2 ** 53 - 3 }, 1);
