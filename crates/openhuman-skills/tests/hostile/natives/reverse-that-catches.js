// expect: timeout | stalled
// after: any
for (;;) { try { Array.prototype.reverse.call({ length: 2 ** 53 - 1 }); } catch (e) {} }
