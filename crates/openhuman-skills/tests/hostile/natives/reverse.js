// expect: timeout
// after: any
// memory: 64
Array.prototype.reverse.call({ length: 2 ** 53 - 1 });
