// expect: ok /./
let n = 0; const u = { toString() { return n++ ? 'http://127.0.0.1:CANARY/' : 'https://public.test/'; } };
try { net.fetch(u); return 'sent'; } catch (e) { return e.message; }
