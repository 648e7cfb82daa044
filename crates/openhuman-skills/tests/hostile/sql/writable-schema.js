// expect: ok /^refused/
try { return 'done ' + JSON.stringify(db.exec('PRAGMA writable_schema = ON')).slice(0, 200); } catch (e) { return `refused ${e.name}: ${e.message}`; }
