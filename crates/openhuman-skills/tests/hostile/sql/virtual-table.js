// expect: ok /^refused/
try { return 'done ' + JSON.stringify(db.exec("CREATE VIRTUAL TABLE v USING dbstat")).slice(0, 200); } catch (e) { return `refused ${e.name}: ${e.message}`; }
