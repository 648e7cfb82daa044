// expect: ok /^refused/
try { return 'done ' + JSON.stringify(db.exec("UPDATE sqlite_master SET sql = 'x'")).slice(0, 200); } catch (e) { return `refused ${e.name}: ${e.message}`; }
