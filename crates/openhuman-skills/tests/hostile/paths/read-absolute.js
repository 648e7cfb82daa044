// expect: ok /^refused/
try { return 'read ' + data.read('/etc/passwd'); } catch (e) { return `refused ${e.name}: ${e.message}`; }
