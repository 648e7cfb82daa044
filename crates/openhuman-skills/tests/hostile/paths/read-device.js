// expect: ok /^refused/
try { return 'read ' + data.read('/dev/zero'); } catch (e) { return `refused ${e.name}: ${e.message}`; }
