// expect: ok /^refused/
try { return 'done ' + JSON.stringify(db.exec("ATTACH 'x.db' AS x")).slice(0, 200); } catch (e) { return `refused ${e.name}: ${e.message}`; }
