// expect: timeout
// after: any
// memory: 64
return [].indexOf.call({ length: 2 ** 53 - 1 }, 1);
