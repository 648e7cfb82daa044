// expect: ok /^refused/
try { return 'read ' + data.read('a/../../b'); } catch (e) { return `refused ${e.name}: ${e.message}`; }
