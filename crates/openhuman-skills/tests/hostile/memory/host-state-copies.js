// expect: ok /^\d+ / | timeout | throws /memory|null/
const s = 'x'.repeat(200000); let n = 0;
try { for (; n < 100000; n++) state.set('k' + n, s); } catch (e) { return `${n} ${String(e && e.message)}`; }
