// expect: ok /^refused/
// limit: 2000
try { const r = net.fetch('ws://127.0.0.1:CANARY/', {}); return 'reached ' + r.status + ' ' + r.body; } catch (e) { return `refused ${e.name}: ${e.message}`; }
