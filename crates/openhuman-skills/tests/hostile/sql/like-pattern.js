// expect: timeout | ok /./
// limit: 1000
try { return 'done ' + JSON.stringify(db.all("SELECT printf('%.20000c', 'a') LIKE '" + '%a'.repeat(10000) + "b'")).slice(0, 200); } catch (e) { return `refused ${e.name}: ${e.message}`; }
