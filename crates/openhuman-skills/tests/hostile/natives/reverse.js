// expect: timeout | stalled
// after: any
Array.prototype.reverse.call({ length: 2 ** 53 - 1 });
