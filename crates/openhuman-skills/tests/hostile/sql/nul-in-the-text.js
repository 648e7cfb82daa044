// expect: ok /./
try { return 'done ' + JSON.stringify(db.all("SELECT 1\0; ATTACH 'x' AS y")).slice(0, 200); } catch (e) { return `refused ${e.name}: ${e.message}`; }
