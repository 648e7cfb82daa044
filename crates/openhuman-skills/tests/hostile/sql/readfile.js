// expect: ok /^refused/
try { return 'done ' + JSON.stringify(db.all("SELECT readfile('/etc/passwd')")).slice(0, 200); } catch (e) { return `refused ${e.name}: ${e.message}`; }
