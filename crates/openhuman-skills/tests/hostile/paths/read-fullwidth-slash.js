// expect: ok /^refused|null/
try { return 'read ' + data.read('..\uff0fsecret'); } catch (e) { return `refused ${e.name}: ${e.message}`; }
