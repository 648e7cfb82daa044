// expect: timeout
// after: any
// memory: 64
return [].lastIndexOf.call({ length: 2 ** 53 - 1 }, 1);
