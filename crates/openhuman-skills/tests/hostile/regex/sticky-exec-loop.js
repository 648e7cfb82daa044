// expect: timeout
const r = /a|/y; const s = 'a'.repeat(100);
for (;;) { r.lastIndex = 0; r.exec(s); }
