// expect: ok /./
try { return 'done ' + JSON.stringify(db.all('SELECT 1' + ' UNION ALL SELECT 1'.repeat(20000))).slice(0, 200); } catch (e) { return `refused ${e.name}: ${e.message}`; }
