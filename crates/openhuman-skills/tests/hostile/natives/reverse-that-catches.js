// expect: timeout
// after: any
// memory: 64
for (;;) { try { Array.prototype.reverse.call({ length: 2 ** 53 - 1 }); } catch (e) {} }
