// expect: ok /^refused/
try { return 'read ' + data.read('..\\secret.txt'); } catch (e) { return `refused ${e.name}: ${e.message}`; }
