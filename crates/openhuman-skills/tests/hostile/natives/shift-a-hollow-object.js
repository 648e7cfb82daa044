// expect: timeout
// after: any
// memory: 64
return [].shift.call({ length: 2 ** 53 - 1 });
