// expect: timeout | stalled | throws /memory/
// after: any
const s = 'é'.repeat(300000);
for (;;) s.localeCompare(s + 'a');
