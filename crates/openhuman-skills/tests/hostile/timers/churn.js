// expect: timeout
for (;;) clearTimeout(setTimeout(() => {}, 1e9));
