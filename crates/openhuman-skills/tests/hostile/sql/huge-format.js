// expect: ok /^refused/
try { return 'done ' + JSON.stringify(db.all("SELECT printf('%.*c', 1000000000, 'x') AS z")).slice(0, 200); } catch (e) { return `refused ${e.name}: ${e.message}`; }
