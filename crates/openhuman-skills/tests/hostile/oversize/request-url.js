// expect: ok /^refused|sent/
// limit: 1500
try { net.fetch('http://127.0.0.1:OPEN/host?' + 'x'.repeat(5 * 1024 * 1024)); return 'sent'; } catch (e) { return `refused ${e.message}`; }
