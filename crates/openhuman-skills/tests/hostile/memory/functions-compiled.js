// expect: ok /InternalError|null|SyntaxError/ | throws /memory|null/ | timeout
const a = [];
try { for (let i = 0; ; i++) a.push(new Function('a', 'return a + ' + i)); } catch (e) { return String(e && e.name); }
