// expect: ok /^refused/
// limit: 2000
try { const r = net.fetch('http://127.0.0.1:OPEN/loop', {}); return 'reached ' + r.status + ' ' + r.body; } catch (e) { return `refused ${e.name}: ${e.message}`; }
