// expect: ok /^refused/
try { return 'done ' + JSON.stringify(db.all('SELECT zeroblob(1000000000) AS z')).slice(0, 200); } catch (e) { return `refused ${e.name}: ${e.message}`; }
