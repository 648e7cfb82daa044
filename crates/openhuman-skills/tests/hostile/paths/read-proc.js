// expect: ok /^refused/
try { return 'read ' + data.read('../../../../../../proc/self/environ'); } catch (e) { return `refused ${e.name}: ${e.message}`; }
