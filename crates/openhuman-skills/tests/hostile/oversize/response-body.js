// expect: ok /^refused/
// limit: 3000
try { return 'got ' + net.fetch('http://127.0.0.1:OPEN/large').body.length; } catch (e) { return `refused ${e.message}`; }
