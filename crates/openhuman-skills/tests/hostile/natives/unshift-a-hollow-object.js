// expect: timeout
// after: any
// memory: 64
return [].unshift.call({ length: 2 ** 53 - 3 }, 1);
