// expect: ok /^refused/
try { return 'read ' + data.read('.'); } catch (e) { return `refused ${e.name}: ${e.message}`; }
