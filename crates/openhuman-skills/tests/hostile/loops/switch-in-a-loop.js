// expect: timeout
let s = 0;
for (;;) switch (s) { case 0: s = 1; break; case 1: s = 2; continue; default: s = 0; }
