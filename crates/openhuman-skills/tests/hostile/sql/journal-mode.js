// expect: ok /^refused/
try { return 'done ' + JSON.stringify(db.all('PRAGMA journal_mode = OFF')).slice(0, 200); } catch (e) { return `refused ${e.name}: ${e.message}`; }
