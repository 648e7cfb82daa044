// expect: ok /^refused/
// limit: 2000
try { const r = net.fetch('http://169.254.169.254/latest/meta-data/', {}); return 'reached ' + r.status + ' ' + r.body; } catch (e) { return `refused ${e.name}: ${e.message}`; }
