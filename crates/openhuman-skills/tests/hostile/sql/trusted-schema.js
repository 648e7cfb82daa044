// expect: ok /^refused/
try { return 'done ' + JSON.stringify(db.all('PRAGMA trusted_schema = ON')).slice(0, 200); } catch (e) { return `refused ${e.name}: ${e.message}`; }
