// expect: timeout | stalled
// after: any
return [].includes.call({ length: 2 ** 53 - 1 }, 1);
