// expect: timeout
// limit: 300
for (;;) { try { const a = []; for (;;) a.push('x'.repeat(100000) + a.length); } catch (e) {} }
