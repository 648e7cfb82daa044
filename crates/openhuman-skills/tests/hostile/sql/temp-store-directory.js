// expect: ok /^refused/
try { return 'done ' + JSON.stringify(db.exec("PRAGMA temp_store_directory = '/tmp'")).slice(0, 200); } catch (e) { return `refused ${e.name}: ${e.message}`; }
