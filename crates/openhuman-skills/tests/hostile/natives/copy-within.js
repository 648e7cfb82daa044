// expect: timeout
// after: any
// memory: 64
return [].copyWithin.call({ length: 2 ** 53 - 1 }, 0, 1);
