// expect: ok /^refused/ | timeout
// limit: 1000
try { return 'got ' + net.fetch('http://127.0.0.1:OPEN/endless').body.length; } catch (e) { return `refused ${e.message}`; }
