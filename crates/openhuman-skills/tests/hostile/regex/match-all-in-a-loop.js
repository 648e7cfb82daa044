// expect: timeout
const s = 'ab'.repeat(1000);
for (;;) for (const m of s.matchAll(/b|/g));
