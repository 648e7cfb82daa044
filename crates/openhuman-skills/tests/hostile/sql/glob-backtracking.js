// expect: timeout | ok /./
// limit: 500
try { return 'done ' + JSON.stringify(db.all("SELECT printf('%.40000c', 'a') GLOB '*a*a*a*a*a*a*a*b'")).slice(0, 200); } catch (e) { return `refused ${e.name}: ${e.message}`; }
