// expect: timeout
function* g() { for (;;) yield* [1, 2, 3]; }
let n = 0; for (const x of g()) n += x;
