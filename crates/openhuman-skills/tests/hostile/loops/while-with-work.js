// expect: timeout
let n = 0; while (true) { n = (n * 31 + 7) % 1000003; }
