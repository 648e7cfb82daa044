// expect: timeout | stalled | ok /\d/ | throws /big/i
// after: any
return String((3n ** 400000n) % 7n);
