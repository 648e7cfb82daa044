// expect: ok /^refused/
// limit: 2000
try { const r = net.fetch('http://127.0.0.1:OPEN/host', { method: 'GET / HTTP/1.1\r\nHost: x\r\n\r\nGET' }); return 'reached ' + r.status + ' ' + r.body; } catch (e) { return `refused ${e.name}: ${e.message}`; }
