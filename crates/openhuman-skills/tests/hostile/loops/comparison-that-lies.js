// expect: timeout
const a = Array.from({ length: 20000 }, (_, i) => i); let f = 1;
for (;;) a.sort(() => (f = -f));
