// expect: ok /^refused/
// limit: 2000
try { const r = net.fetch('http://127.0.0.1:OPEN/host', { headers: { 'X-A': 'a\r\nHost: internal' } }); return 'reached ' + r.status + ' ' + r.body; } catch (e) { return `refused ${e.name}: ${e.message}`; }
