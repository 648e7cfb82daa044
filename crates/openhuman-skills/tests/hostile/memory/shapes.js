// expect: ok /memory|InternalError|null|RangeError/i | throws /memory|null/i
const a = [];
try { for (let i = 0; ; i++) a.push({ ['k' + i]: 1, ['l' + i]: 2 }); } catch (e) { return String(e && e.name); }
