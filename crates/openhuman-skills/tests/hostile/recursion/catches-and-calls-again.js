// expect: timeout | throws /stack/i
const f = () => { try { f(); } catch (e) {} f(); };
f();
