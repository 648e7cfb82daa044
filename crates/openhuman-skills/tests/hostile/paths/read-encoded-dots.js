// expect: ok /^refused|null/
try { return 'read ' + data.read('%2e%2e%2fsecret'); } catch (e) { return `refused ${e.name}: ${e.message}`; }
