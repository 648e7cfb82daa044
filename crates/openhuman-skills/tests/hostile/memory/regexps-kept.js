// expect: ok /InternalError|null|SyntaxError/ | throws /memory|null/ | timeout
const a = [];
try { for (let i = 0; ; i++) a.push(new RegExp('(a|b)+' + i)); } catch (e) { return String(e && e.name); }
