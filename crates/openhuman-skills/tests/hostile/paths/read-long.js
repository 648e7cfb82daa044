// expect: ok /^refused/
try { return 'read ' + data.read('a'.repeat(5000)); } catch (e) { return `refused ${e.name}: ${e.message}`; }
