// expect: ok /^refused/
try { return 'done ' + JSON.stringify(db.exec("VACUUM INTO '/tmp/openhuman-hostile.db'")).slice(0, 200); } catch (e) { return `refused ${e.name}: ${e.message}`; }
