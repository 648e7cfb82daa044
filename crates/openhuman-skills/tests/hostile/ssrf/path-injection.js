// expect: ok /^refused|reached 404/
// limit: 2000
try { const r = net.fetch('http://127.0.0.1:OPEN/host\r\nX-Injected: 1', {}); return 'reached ' + r.status + ' ' + r.body; } catch (e) { return `refused ${e.name}: ${e.message}`; }
