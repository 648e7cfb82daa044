// expect: timeout
// after: any
// memory: 64
return [].splice.call({ length: 2 ** 53 - 1 }, 0, 1);
