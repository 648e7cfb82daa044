// expect: timeout | stalled | throws /memory/
// after: any
const s = 'é'.repeat(500000), e = new TextEncoder(), d = new TextDecoder();
for (;;) d.decode(e.encode(s));
