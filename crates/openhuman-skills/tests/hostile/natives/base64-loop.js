// expect: timeout | stalled | throws /memory/
// after: any
const s = 'x'.repeat(500000);
for (;;) atob(btoa(s));
