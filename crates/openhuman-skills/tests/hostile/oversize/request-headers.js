// expect: ok /^refused/ | ok /sent/
// limit: 1500
const headers = {}; for (let i = 0; i < 5000; i++) headers['x-h' + i] = 'v';
try { net.fetch('http://127.0.0.1:OPEN/host', { headers }); return 'sent'; } catch (e) { return `refused ${e.message}`; }
