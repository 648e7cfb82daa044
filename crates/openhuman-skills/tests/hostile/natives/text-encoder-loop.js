// expect: timeout | throws /^null|memory/
// after: any
// memory: 64
const s = 'é'.repeat(500000), e = new TextEncoder(), d = new TextDecoder();
for (;;) d.decode(e.encode(s));
