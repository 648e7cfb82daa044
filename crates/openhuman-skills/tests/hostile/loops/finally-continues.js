// expect: timeout
for (;;) { try { throw 1; } finally { continue; } }
