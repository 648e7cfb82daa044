// expect: timeout | ok /\d/ | throws /big/i
// after: any
// memory: 64
return String((3n ** 400000n) % 7n);
