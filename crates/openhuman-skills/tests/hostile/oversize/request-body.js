// expect: ok /^refused/
// limit: 2000
// memory: 64
try { net.fetch('http://127.0.0.1:OPEN/echo', { method: 'POST', body: 'x'.repeat(9 * 1024 * 1024) }); return 'sent'; } catch (e) { return `refused ${e.message}`; }
