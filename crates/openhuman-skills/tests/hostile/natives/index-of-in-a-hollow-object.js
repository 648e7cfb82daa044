// expect: timeout | stalled
// after: any
return [].indexOf.call({ length: 2 ** 53 - 1 }, 1);
