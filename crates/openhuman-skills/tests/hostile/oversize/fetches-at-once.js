// expect: ok /184/ | timeout | throws /./
// limit: 1500
const all = []; for (let i = 0; i < 200; i++) { try { all.push(fetch('http://127.0.0.1:OPEN/slow').catch((e) => e.message)); } catch (e) { all.push(e.message); } }
return Promise.all(all).then((r) => String(r.filter((x) => typeof x === 'string').length));
