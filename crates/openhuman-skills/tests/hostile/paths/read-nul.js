// expect: ok /^refused/
try { return 'read ' + data.read('notes.txt\0../../etc/passwd'); } catch (e) { return `refused ${e.name}: ${e.message}`; }
