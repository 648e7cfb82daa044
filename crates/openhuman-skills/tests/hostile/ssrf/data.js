// expect: ok /^refused/
// limit: 2000
try { const r = net.fetch('data:text/plain,hello', {}); return 'reached ' + r.status + ' ' + r.body; } catch (e) { return `refused ${e.name}: ${e.message}`; }
