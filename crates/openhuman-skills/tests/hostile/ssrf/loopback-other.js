// expect: ok /^refused/
// limit: 2000
try { const r = net.fetch('http://127.9.9.9:CANARY/', {}); return 'reached ' + r.status + ' ' + r.body; } catch (e) { return `refused ${e.name}: ${e.message}`; }
