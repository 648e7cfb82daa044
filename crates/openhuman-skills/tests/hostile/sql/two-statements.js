// expect: ok /./
try { return 'done ' + JSON.stringify(db.all("SELECT 1; ATTACH 'x.db' AS x")).slice(0, 200); } catch (e) { return `refused ${e.name}: ${e.message}`; }
