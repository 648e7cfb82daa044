// expect: ok /^refused/
try { return 'done ' + JSON.stringify(db.all("SELECT edit('x', 'sh')")).slice(0, 200); } catch (e) { return `refused ${e.name}: ${e.message}`; }
