// expect: ok /memory|InternalError|null/i | throws /memory|null/ | timeout
const o = {};
try { for (let i = 0; ; i++) o['p' + i] = i; } catch (e) { return String(e && e.name); }
