// expect: ok /^refused/
try { return 'read ' + data.read('C:\\Windows\\win.ini'); } catch (e) { return `refused ${e.name}: ${e.message}`; }
