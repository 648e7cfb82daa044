// expect: ok /^refused/
try { return 'done ' + JSON.stringify(db.all('SELECT * FROM ' + Array.from({ length: 100 }, (_, i) => 'sqlite_master a' + i).join())).slice(0, 200); } catch (e) { return `refused ${e.name}: ${e.message}`; }
