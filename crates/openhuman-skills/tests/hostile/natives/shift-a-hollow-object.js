// expect: timeout | stalled
// after: any
return [].shift.call({ length: 2 ** 53 - 1 });
