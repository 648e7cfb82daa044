// expect: ok /logged/ | timeout | throws /memory|null/
const s = 'x'.repeat(3000000);
for (let i = 0; i < 200; i++) console.log(s, s);
return 'logged';
