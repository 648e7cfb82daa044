// expect: ok /^refused|^got/
// limit: 1500
try { return 'got ' + Object.keys(net.fetch('http://127.0.0.1:OPEN/headers').headers).length; } catch (e) { return `refused ${e.message}`; }
