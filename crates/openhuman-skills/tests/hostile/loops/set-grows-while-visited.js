// expect: timeout | throws /memory/
const s = new Set([0]); let n = 0;
s.forEach((v) => { s.delete(v); s.add(++n); });
